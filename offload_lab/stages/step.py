"""A step: its variants, a class's sections and tasks, its broken servers. `manifest` reads it from step.toml."""

from dataclasses import dataclass, field
from pathlib import Path

from offload_lab.errors import UnknownNameError

from .loopback import Loopback

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
