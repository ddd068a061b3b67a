"""A timetable as text, and the computed parts of the workshop's documents. No I/O."""

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import accumulate

from offload_lab.errors import UnknownNameError
from offload_lab.stages.step import Step

from .agenda import Entry, Group, Timetable, plan

WIDTH = 60  # readable in half a screen
MARKED = re.compile(r"(<!-- (timetable|sections) (\d+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)


def lines(timetable: Timetable) -> Iterator[tuple[str, str]]:
    """The timetable as pairs (style, line), at most WIDTH columns wide."""
    numbers = dict.fromkeys(entry.step.number for entry in timetable.entries if entry.step)
    yield "bold", f"{timetable.minutes} minutes: steps {' '.join(numbers)}; {timetable.in_hand} min in hand"
    step, notebook = None, ""
    for entry in timetable.entries:
        yield "", ""
        if entry.step and entry.step != step:
            step, notebook = entry.step, ""
            yield from step_lines(step)
        if entry.section.notebook != notebook and entry.step:
            notebook = entry.section.notebook
            yield "", f"      from here: {open_notebook(notebook)}"
        yield from entry_lines(entry)
    yield from ladder_lines(timetable.kept)
    yield from list_lines("Not in this timetable", sorted(timetable.left_out, key=lambda group: group.step.number))


def ladder_lines(groups: Sequence[Group]) -> Iterator[tuple[str, str]]:
    """What to leave out by how late the class is: each line adds to those above it."""
    if not groups:
        return
    yield "", ""
    yield "bold", "If you are late: leave out each line down to yours"
    for group, saved in zip(groups, accumulate(group.minutes for group in groups), strict=True):
        yield from indented(f"{saved:>3} min late: {section_names(group)}", further=" " * 10)


def step_lines(step: Step) -> Iterator[tuple[str, str]]:
    yield from (("bold", line) for line in textwrap.wrap(f"{step.number} · {step.title}", WIDTH))
    yield "", f"      begin together: {begin_together(step)}"


def begin_together(step: Step) -> str:
    """The command with which everybody can begin `step`, whatever they have done before."""
    return f"./lab notebook {step.number}"


def open_notebook(name: str) -> str:
    return f"./lab notebook {name.partition('_')[0]}"


def entry_lines(entry: Entry) -> Iterator[tuple[str, str]]:
    style = "" if entry.step else "bold"
    first, *more = textwrap.wrap(entry.section.title, WIDTH - 15)
    yield style, f"{clock(entry.at)}  {first:<{WIDTH - 13}} {entry.section.minutes:>2} min"
    yield from ((style, f"      {line}") for line in more)
    if entry.section.landmark:
        yield from indented(f"by {clock(entry.end)} you have seen: {entry.section.landmark}")


def list_lines(title: str, groups: Sequence[Group]) -> Iterator[tuple[str, str]]:
    if groups:
        yield "", ""
        yield "bold", f"{title} ({sum(group.minutes for group in groups)} min)"
        for group in groups:
            yield from indented(f"{section_names(group)}, {group.minutes} min")


def section_names(group: Group) -> str:
    """Short: each section's title up to its colon."""
    return f"{group.step.number} {' + '.join(section.title.partition(':')[0] for section in group.sections)}"


def indented(text: str, further: str = "") -> Iterator[tuple[str, str]]:
    """Below an entry; what does not fit on the first line is indented `further`."""
    indent = " " * 6
    wrapped = textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent + further, break_on_hyphens=False
    )
    yield from (("dim", line) for line in wrapped)


def clock(minutes: int) -> str:
    return f"{minutes // 60}:{minutes % 60:02}"


# --- in the documents


def renewed(text: str, steps: Sequence[Step]) -> str:
    """`text` with the contents of its marks computed again: a timetable, or a step's sections.

    Raises:
        UnknownNameError: a mark names a step that does not exist.
    """

    def fill(match: re.Match[str]) -> str:
        before, kind, number, after = match.groups()
        if kind == "timetable":
            body = "\n".join(["```text", *(line for _, line in lines(plan(steps, int(number)))), "```"])
        else:
            known = {step.number: step for step in steps}
            if number not in known:
                raise UnknownNameError("step", number, known)
            body = sections_table(known[number])
        return f"{before}\n{body}\n\n{after}"

    return MARKED.sub(fill, text)


def sections_table(step: Step) -> str:
    further = [f", then `{open_notebook(name)}`" for name in step.notebooks if name != step.name]
    rows = [f"**{step.minutes} minutes.** Begin together: `{begin_together(step)}`{''.join(further)}", ""]
    rows += ["| section | min | what the class has seen at its end | if late |", "|---|---|---|---|"]
    for section in step.sections:
        late = f"goes ({section.cut})" if section.cut else "stays"
        rows.append(f"| {section.title} | {section.minutes} | {section.landmark} | {late} |")
    return "\n".join(rows)
