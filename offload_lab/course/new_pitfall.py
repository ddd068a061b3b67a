"""The files of a new pitfall: its page, the two INIs, their variants, and tests that fail until they are written."""

from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path

from offload_lab.errors import LabError
from offload_lab.stages.step import Step

PAGE = """\
# {name}: TODO what goes wrong, in one line

**Symptom.** TODO what a client sees.

**What the processes do.** TODO why.

**The fix.** TODO the line in which `{name}_fixed.ini` differs.

**Try it.** `./lab run {number} {name}_broken`, TODO what to ask for.

**Can a config show it?** TODO

**Tests:** `tests/test_{name}.py`: `test_{name}_broken_fails`, `test_{name}_fixed_holds`.
"""

INI = """\
[uwsgi]
ini = %d_front.ini
stats = %(run)/%n-stats.sock

; TODO {comment}, and the app
"""

VARIANTS = """
[variants.{name}_broken]
inis = ["{name}_broken.ini"]
says = "TODO what goes wrong"
demo = false

[variants.{name}_fixed]
inis = ["{name}_fixed.ini"]
says = "TODO what holds"
demo = false
"""

TESTS = '''\
"""{name}: TODO what goes wrong, in one line."""

import pytest


@pytest.mark.core
def test_{name}_broken_fails(stage_of):
    pytest.fail('TODO start stage_of("{name}_broken"), and show what a client sees of the failure')


@pytest.mark.core
def test_{name}_fixed_holds(stage_of):
    pytest.fail('TODO start stage_of("{name}_fixed"), and show that the same client is served')
'''


def new_pitfall(step: Step, name: str) -> list[Path]:
    """Write the files of the pitfall `name` into `step`, and append its variants to the manifest.

    Returns the files, the manifest last.

    Raises:
        LabError: `name` is no identifier, or the step has it already. Nothing was written then.
    """
    if not name.isidentifier() or iskeyword(name) or name != name.lower():
        raise LabError(f"{name!r} cannot be a pitfall's name: use lower-case letters, digits and _")
    files = {step.folder / path: text for path, text in texts(step, name).items()}
    there = [path.name for path in files if path.exists()]
    there += [variant.name for variant in step.variants if variant.name in (f"{name}_broken", f"{name}_fixed")]
    if there:
        raise LabError(f"{step.name} has {there[0]} already; choose another name")
    for path, text in files.items():
        path.write_text(text)
    manifest = step.folder / "step.toml"
    with manifest.open("a") as file:
        file.write(VARIANTS.format(name=name))
    return [*files, manifest]


def texts(step: Step, name: str) -> Mapping[str, str]:
    """The content of each new file, by its path below the step's folder."""
    return {
        f"{name}.md": PAGE.format(name=name, number=step.number),
        f"{name}_broken.ini": INI.format(comment="the lines that are wrong"),
        f"{name}_fixed.ini": INI.format(comment="the same lines, right"),
        f"tests/test_{name}.py": TESTS.format(name=name),
    }
