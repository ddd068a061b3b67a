"""What the documents say exists: links, commands, files of the steps, and the tests that they name as proof."""

import re

import pytest

from offload_lab.cli.main import lab
from offload_lab.paths import ROOT
from offload_lab.stages import manifest

MADE = {"results", "work", "dist"}  # by running things; hidden folders are no documents either


def documents():
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in MADE and path.name[0] != "."]
    found = [*ROOT.glob("*.md"), *(path for folder in folders for path in folder.rglob("*.md"))]
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(ROOT).parts))


every_document = pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))

FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(
    r"\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s*(\S+)|(?:src|href)=\"([^\"]+)\"", re.MULTILINE
)
COMMAND = re.compile(r"\./lab ([a-z][\w-]*)")
RUN = re.compile(r"\./lab run (\d\w*)(?: ([a-z]\w*))?")
FILE_OF_A_STEP = re.compile(r"\bsteps/\d\d_\w+(?:/[\w.-]*\w)*")
TEST = re.compile(r"\btest_\w+(?:\.py)?(?![\w*]|…)")


def prose(document):
    """The text without its fenced blocks, where brackets mean something else."""
    return FENCED.sub("", document.read_text())


def heading_ids(document):
    """As GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_document
def test_every_relative_link_has_a_target(document):
    targets = ["".join(groups) for groups in LINK.findall(prose(document))]
    relative = [target.partition("#") for target in targets if not re.match(r"[a-z]+:", target)]
    broken = []
    for path, _, anchor in relative:
        target = document.parent / path if path else document
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in heading_ids(target)):
            broken.append(f"{path}#{anchor}" if anchor else path)
    assert broken == []


@every_document
def test_every_command_of_lab_exists(document):
    assert set(COMMAND.findall(document.read_text())) - set(lab.commands) == set()


@every_document
def test_every_variant_in_a_lab_run_command_exists(document):
    for step, variant in RUN.findall(document.read_text()):
        found = manifest.find(step)
        assert not variant or found.variant(variant)


@every_document
def test_every_file_of_a_step_exists(document):
    named = [path for path in FILE_OF_A_STEP.findall(document.read_text()) if "/.run" not in path]  # made by running
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.fixture(scope="module")
def tests():
    """The names of all test files and test functions."""
    files = [
        path for folder in ("tests", "steps", "bench", "uwsgi_build") for path in (ROOT / folder).rglob("test_*.py")
    ]
    functions = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)
    return {path.name for path in files} | {name for path in files for name in functions.findall(path.read_text())}


@every_document
def test_every_test_that_is_named_as_proof_exists(document, tests):
    assert set(TEST.findall(document.read_text())) - tests == set()


def test_every_document_is_checked():
    looked_at = {str(path.relative_to(ROOT)) for path in documents()}
    assert {"README.md", "CONTRIBUTING.md", "steps/01_file_wrapper/README.md", "uwsgi_build/README.md"} <= looked_at


def test_the_readme_lists_every_variant_of_every_step():
    rows = re.findall(r"^\| \[(\d\d_\w+)\]\(steps/.*\| ([^|]+) \|$", prose(ROOT / "README.md"), re.MULTILINE)
    listed = {name: set(re.findall(r"`(\w+)`", variants)) for name, variants in rows}
    pitfalls = {"07_pitfalls": set()}  # <pitfall>_broken, <pitfall>_fixed
    assert listed == {step.name: {variant.name for variant in step.variants} for step in manifest.steps()} | pitfalls
