"""A workshop's timetable for any number of minutes, computed from the sections in the manifests. No I/O.

Sections go in groups: those of one step with the same `cut`. The lowest numbers go first, whatever their step, and a
group stays only if all that matters more in its own step stays too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

from offload_lab.errors import LabError
from offload_lab.stages.step import Section, Step

CHECK_IN = Section("Check-in: a seat and a machine for each", 5, "./lab demo has run at each table, or next to it")
OPENING = Section(
    "Opening: the ticket hall, notebook 00", 10, "your guess on the picture: no bystander answered above, all below"
)
CLOSING = Section("Closing: what to copy, what to know before", 10, "each has named a place at home where people wait")
BREAK, LUNCH = Section("Break", 10, ""), Section("Lunch", 45, "")
SLACK_MIN = 5  # for what cannot be foreseen: never planned away
WITHOUT_BREAK_MIN = 90  # longer ones have breaks
BETWEEN_BREAKS_MIN = 70  # about
WITHOUT_LUNCH_MIN = 240
STEP_END_MIN = 5  # a break between two steps is worth a stretch that is so much longer


class TooShortError(LabError):
    """The sections that are never left out do not fit into the minutes."""

    def __init__(self, minutes: int, least: int) -> None:
        super().__init__(minutes, least)
        self.minutes, self.least = minutes, least

    def __str__(self) -> str:
        return f"{self.minutes} minutes are too few: what is never left out takes {self.least}; give it that many"


@dataclass(frozen=True)
class Group:
    """Sections that are left out together: those of `step` with this `cut`."""

    step: Step
    cut: int

    @property
    def sections(self) -> tuple[Section, ...]:
        return tuple(section for section in self.step.sections if section.cut == self.cut)

    @property
    def minutes(self) -> int:
        return sum(section.minutes for section in self.sections)

    @property
    def within(self) -> list["Group"]:
        """The groups of the same step that stay longer."""
        return [other for other in groups([self.step]) if self.cut and (other.cut == 0 or other.cut > self.cut)]


@dataclass(frozen=True)
class Entry:
    """A section that begins `at` this minute. `step` is None for check-in, opening, breaks and closing."""

    at: int
    section: Section
    step: Step | None = None

    @property
    def end(self) -> int:
        return self.at + self.section.minutes


@dataclass(frozen=True)
class Timetable:
    """`entries` in their order; the optional groups that are `kept`, and those `left_out`, first to go first."""

    minutes: int
    entries: tuple[Entry, ...]
    kept: tuple[Group, ...]
    left_out: tuple[Group, ...]

    @property
    def in_hand(self) -> int:
        return self.minutes - self.entries[-1].end


def plan(steps: Sequence[Step], minutes: int) -> Timetable:
    """The most valuable sections that fit.

    Raises:
        TooShortError: not even those that are never left out fit.
    """
    room = minutes - SLACK_MIN
    every = sorted(groups(steps), key=lambda group: (group.cut != 0, -group.cut, group.step.number))
    kept = [group for group in every if group.cut == 0]
    if length(kept) > room:
        raise TooShortError(minutes, length(kept) + SLACK_MIN)
    for group in every:
        if group not in kept and all(other in kept for other in group.within) and length([*kept, group]) <= room:
            kept.append(group)
    return Timetable(
        minutes,
        lay_out(steps, kept),
        tuple(group for group in reversed(every) if group.cut and group in kept),
        tuple(group for group in reversed(every) if group not in kept),
    )


def groups(steps: Sequence[Step]) -> list[Group]:
    return [Group(step, cut) for step in steps for cut in sorted({section.cut for section in step.sections})]


def length(kept: Sequence[Group]) -> int:
    frame = CHECK_IN.minutes + OPENING.minutes + CLOSING.minutes
    taught = frame + sum(group.minutes for group in kept)
    return taught + sum(pause.minutes for pause in pauses(taught))


def pauses(taught_min: int) -> list[Section]:
    """The breaks in that many minutes of teaching; the middle one of a long day is lunch."""
    if taught_min <= WITHOUT_BREAK_MIN:
        return []
    all_of_them = [BREAK] * (math.ceil(taught_min / BETWEEN_BREAKS_MIN) - 1)
    if taught_min > WITHOUT_LUNCH_MIN:
        all_of_them[len(all_of_them) // 2] = LUNCH
    return all_of_them


def lay_out(steps: Sequence[Step], kept: Sequence[Group]) -> tuple[Entry, ...]:
    taught: list[tuple[Section, Step | None]] = [(CHECK_IN, None), (OPENING, None)]
    taught += [(section, step) for step in steps for section in step.sections if Group(step, section.cut) in kept]
    taught.append((CLOSING, None))
    ends = list(accumulate(section.minutes for section, _ in taught))
    after = places(ends, [taught[i][1] != taught[i + 1][1] for i in range(len(taught) - 1)])
    entries: list[Entry] = []
    for i, (section, step) in enumerate(taught):
        entries.append(Entry(entries[-1].end if entries else 0, section, step))
        if i in after:
            entries.append(Entry(entries[-1].end, after[i]))
    return tuple(entries)


def places(ends: list[int], between_steps: list[bool]) -> dict[int, Section]:
    """Each break by the index of the section before it: in even stretches, and preferably between two steps."""
    wanted = pauses(ends[-1])
    even = ends[-1] / (len(wanted) + 1)

    @cache
    def split(first: int, breaks: int) -> tuple[float, tuple[int, ...]]:
        """What the sections from `first` on cost with so many breaks, and the sections before these."""
        start = ends[first - 1] if first else 0
        if not breaks:
            return (ends[-1] - start - even) ** 2, ()
        options = []
        for i in range(first, len(ends) - breaks):
            cost, further = split(i + 1, breaks - 1)
            cost += (ends[i] - start - even) ** 2 - STEP_END_MIN**2 * between_steps[i]
            options.append((cost, (i, *further)))
        return min(options)

    return dict(zip(split(0, len(wanted))[1], wanted, strict=True))
