"""Where the class is in its timetable. No I/O, no clock."""

from dataclasses import dataclass

from offload_lab.course.agenda import Timetable
from offload_lab.course.agenda_text import clock


@dataclass(frozen=True)
class Place:
    """One entry of the timetable, and how it compares with the clock. `step`: the name of the step it belongs to."""

    index: int
    last: int
    title: str
    landmark: str
    step: str | None
    elapsed: str
    until: str
    late_min: int


def place(timetable: Timetable, index: int, elapsed_s: float) -> Place:
    """The entry `index`, `elapsed_s` after the class began. Late: minutes since the entry's planned end."""
    entry = timetable.entries[index]
    minutes = int(elapsed_s // 60)
    return Place(
        index=index,
        last=len(timetable.entries) - 1,
        title=f"{entry.step.number} · {entry.section.title}" if entry.step else entry.section.title,
        landmark=entry.section.landmark,
        step=entry.step.name if entry.step else None,
        elapsed=clock(minutes),
        until=clock(entry.end),
        late_min=max(0, minutes - entry.end),
    )
