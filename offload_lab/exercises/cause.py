"""Why a learner's answer is wrong."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """`id` names the kind of mistake, as in a manifest's ``diagnosis``; `sentence` tells the learner."""

    id: str
    sentence: str
