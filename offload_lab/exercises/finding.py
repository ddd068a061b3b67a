"""What a check has seen of a wrong answer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """The id of what it is, and the sentence about it."""

    id: str
    words: str
