"""step.toml, read and checked: what a step is called, which variants it has, what the demo does with it, and what a
class does in it: sections with their minutes, tasks with their hints, mistakes with their diagnoses."""

import os
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from offload_lab.errors import ManifestError, UnknownNameError
from offload_lab.paths import ROOT
from offload_lab.programs import PROGRAMS

from .loopback import Loopback

KEYS = ("title", "minutes", "path", "scenario", "try", "live", "variants", "sections", "tasks", "servers", "loopback")
LIVE_KEYS = ("download", "stream", "websocket", "variants")
TASK_KINDS = ("config", "fix", "code")  # fill in a line, mend a wrong one, write the view or the app


@dataclass(frozen=True)
class Variant:
    """One way to run a step: its INI files in the order in which they start, the front last; then the nginx.conf of the
    proxy before it, where there is one."""

    name: str
    inis: tuple[str, ...]
    says: str
    demo: bool = True
    needs: tuple[str, ...] = ()  # abilities of uWSGI that not every build has: those of uwsgi.binary.ABILITIES
    reference: bool = False  # what the other variants of a demo are compared with
    programs: tuple[str, ...] = ()  # other programs that its INIs start, by their names in offload_lab.programs
    proxy: str = ""  # the nginx.conf of the proxy in front


@dataclass(frozen=True)
class Section:
    """A part of a workshop's step. `cut` is the order in which a late class leaves sections out, 0: never.

    `landmark` is what the class should have seen at its end. `notebook`: by default the one called as the step.
    """

    title: str
    minutes: int
    landmark: str
    cut: int = 0
    notebook: str = ""


@dataclass(frozen=True)
class Mistake:
    """A plausible wrong answer to a task, and the diagnosis that its processes must lead to."""

    name: str
    answer: str
    diagnosis: str


@dataclass(frozen=True)
class Task:
    """One marked region of `file` that a learner fills in, `blank` at first; `variant` runs it.

    `kind` is one of TASK_KINDS. The last hint ends with the lines themselves. `diagnoses` names
    the module of the step's ``lesson/`` that recognises its mistakes.
    """

    name: str
    title: str
    kind: str
    file: str
    variant: str
    blank: str
    hints: tuple[str, ...]
    mistakes: tuple[Mistake, ...]
    diagnoses: str = "diagnoses"


@dataclass(frozen=True)
class Server:
    """A broken variant as an exercise, under a name that says nothing of what is wrong with it.

    `complaint`: what its users see. `goal`: what the test of its cure expects, from outside. `tool`: where to look.
    """

    number: int
    pitfall: str
    complaint: str
    goal: str
    tool: str

    @property
    def name(self) -> str:
        return f"server_{self.number:02}"

    @property
    def title(self) -> str:
        return self.complaint

    @property
    def kind(self) -> str:
        return "cure"

    def __str__(self) -> str:
        return f"server {self.number}"


Exercise = Task | Server


@dataclass(frozen=True)
class Live:
    """What the live view opens, paths by kind of client, and which variants it shows where none is named."""

    paths: dict[str, str] = field(hash=False)  # a step is hashed, a dict cannot be
    variants: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One folder of `steps/`. `minutes` is the time a class needs for it: the sum of its sections, where it has any."""

    folder: Path
    title: str
    minutes: int
    path: str  # what the demo and a person ask for
    scenario: str  # which measurement the demo takes: "download"
    variants: tuple[Variant, ...]
    try_it: tuple[str, ...] = field(default=())
    sections: tuple[Section, ...] = field(default=())
    tasks: tuple[Task, ...] = field(default=())
    servers: tuple[Server, ...] = field(default=())
    loopback: Loopback | None = None  # where its files are what one deploys, and run here as copies
    live: Live | None = field(default=None, hash=False)  # its paths are a dict

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def number(self) -> str:
        return self.name.partition("_")[0]

    @property
    def notebooks(self) -> dict[str, int]:
        """The minutes of its notebooks, by their names: what the sections in each of them take."""
        minutes: dict[str, int] = {}
        for section in self.sections:
            name = section.notebook or self.name
            minutes[name] = minutes.get(name, 0) + section.minutes
        return minutes

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        return (*self.tasks, *self.servers)

    @property
    def default(self) -> Variant:
        """The variant that is meant where none is named: the one the others are compared with, else the last."""
        return next((variant for variant in self.variants if variant.reference), self.variants[-1])

    @property
    def pitfalls(self) -> list[str]:
        """Each NAME of which there are the variants NAME_broken and NAME_fixed."""
        names = [variant.name for variant in self.variants]
        broken = [name.removesuffix("_broken") for name in names if name.endswith("_broken")]
        return [name for name in broken if f"{name}_fixed" in names]

    def variant(self, word: str | None) -> Variant:
        """The variant that `word` names, the default for None.

        Raises: UnknownNameError with the nearest match.
        """
        if word is None:
            return self.default
        known = [variant.name for variant in self.variants]
        if word not in known:
            raise UnknownNameError("variant", word, known, owner=self.name)
        return self.variants[known.index(word)]

    def task(self, word: str) -> Task:
        """The task that `word` names: its name, or its number counted from 1.

        Raises: UnknownNameError with the nearest match.
        """
        known = [task.name for task in self.tasks]
        if word.isdecimal() and 1 <= int(word) <= len(known):
            return self.tasks[int(word) - 1]
        if word not in known:
            raise UnknownNameError("task", word, known, owner=self.name)
        return self.tasks[known.index(word)]

    def server(self, word: str) -> Server:
        """The server that `word` names by its number: ``7``, ``07`` or ``server_07``.

        Raises: UnknownNameError.
        """
        number = word.removeprefix("server_")
        if number.isdecimal() and 1 <= int(number) <= len(self.servers):
            return self.servers[int(number) - 1]
        raise UnknownNameError("server", word, [str(server.number) for server in self.servers], owner=self.name)


def steps_folder() -> Path:
    """Where the steps are; LAB_STEPS names copies, whose tasks a learner has solved."""
    return Path(os.environ.get("LAB_STEPS") or ROOT / "steps")


def steps(folder: Path | None = None) -> list[Step]:
    """All steps, in their order: every folder with a manifest."""
    return [load(path) for path in sorted((folder or steps_folder()).glob("*/step.toml"))]


def find(word: str, folder: Path | None = None) -> Step:
    """The step that `word` names: its number (``3`` or ``03``), its name with or without the number; or a path with a
    slash, that of a copy, which runs instead of the original.

    Raises: UnknownNameError.
    """
    if "/" in word and (copy := Path(word).resolve()).is_dir():
        return replace(find(copy.name, folder), folder=copy)
    available = steps(folder)
    for step in available:
        if word in (step.name, step.number, step.number.lstrip("0"), step.name.partition("_")[2]):
            return step
    known = [step.name for step in available]
    raise UnknownNameError("step", word, known)


def find_deployed() -> Step:
    """The step whose files are what one deploys."""
    return next(step for step in steps() if step.loopback)


def load(path: Path) -> Step:
    """Raises: ManifestError, naming the file and what is wrong in it."""
    try:
        return parse(path.parent, tomllib.loads(path.read_text()))
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: {type(error).__name__}: {error}; compare it with another step's") from error


def parse(folder: Path, data: dict[str, Any]) -> Step:
    unknown = data.keys() - KEYS
    if unknown:
        raise ManifestError(
            f"{folder / 'step.toml'}: unknown: {', '.join(sorted(unknown))}; there are: {', '.join(KEYS)}"
        )
    variants = tuple(parse_variant(name, row) for name, row in data["variants"].items())
    if strange := {name for variant in variants for name in variant.programs} - PROGRAMS.keys():
        raise ManifestError(f"{folder / 'step.toml'}: programs.py knows no {', '.join(sorted(strange))}")
    if not variants or not all(variant.inis for variant in variants):
        raise ManifestError(f"{folder / 'step.toml'}: needs at least one variant, each with at least one INI file")
    missing = [ini for variant in variants for ini in variant.inis if not (folder / ini).exists()]
    if missing:
        raise ManifestError(f"{folder / 'step.toml'}: no such INI file: {', '.join(missing)}")
    confs = [variant.proxy for variant in variants if variant.proxy and not (folder / variant.proxy).exists()]
    if confs:
        raise ManifestError(f"{folder / 'step.toml'}: no such nginx.conf: {', '.join(confs)}")
    sections = tuple(Section(**row) for row in data.get("sections", ()))
    if sections and sum(section.minutes for section in sections) != data["minutes"]:
        raise ManifestError(f"{folder / 'step.toml'}: the sections' minutes do not add up to {data['minutes']}")
    tasks = tuple(parse_task(row) for row in data.get("tasks", ()))
    for task in tasks:
        if task.kind not in TASK_KINDS or not (folder / task.file).exists() or not task.hints:
            raise ManifestError(
                f"{folder / 'step.toml'}: task {task.name}: needs an existing file (has {task.file}), "
                f"one of the kinds {', '.join(TASK_KINDS)} (has {task.kind}) and hints"
            )
    live = data.get("live", {})
    if strange := live.keys() - LIVE_KEYS:
        raise ManifestError(f"{folder / 'step.toml'}: unknown in live: {', '.join(sorted(strange))}")
    return Step(
        folder=folder,
        title=data["title"],
        minutes=data["minutes"],
        path=data["path"],
        scenario=data["scenario"],
        variants=variants,
        try_it=tuple(data.get("try", ())),
        sections=sections,
        tasks=tasks,
        servers=tuple(Server(number, **row) for number, row in enumerate(data.get("servers", ()), 1)),
        loopback=parse_loopback(data["loopback"]) if "loopback" in data else None,
        live=parse_live(live) if live else None,
    )


def parse_live(row: dict[str, Any]) -> Live:
    paths = {kind: path for kind, path in row.items() if kind != "variants"}
    return Live(paths, tuple(row["variants"]))


def parse_variant(name: str, row: dict[str, Any]) -> Variant:
    lists = {key: tuple(row.pop(key, ())) for key in ("needs", "programs")}
    return Variant(name=name, inis=tuple(row.pop("inis")), **{**lists, **row})


def parse_loopback(row: dict[str, Any]) -> Loopback:
    lists = {key: tuple(row.pop(key, ())) for key in ("options", "prepare")}
    return Loopback(**{**row, **lists, "replace": tuple(row["replace"].items())})


def parse_task(row: dict[str, Any]) -> Task:
    mistakes = tuple(Mistake(**mistake) for mistake in row.pop("mistakes", ()))
    return Task(hints=tuple(row.pop("hints")), mistakes=mistakes, **row)
