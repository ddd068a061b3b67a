"""uWSGI's INI files as uWSGI reads them: imports, magic variables, placeholders, arithmetic, conditions, loops.

Only text comes in: a `load` callable fetches the files. What uWSGI decides when it starts (``if-env``, ``if-file``…) is
not decided here: options below a condition are kept and marked `maybe`.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from .config import Config, Option, UnusableConfig
from .expand import Expander

Chain = tuple[tuple[str, str], ...]  # the files, and the sections of them, that lead to the one being read
Loader = Callable[[str], str]  # a path to the file's text; raises OSError, or UnusableConfig

IMMEDIATE = {"listen", "umask", "strict"}  # of those that hold for a server, with imports and placeholders
IMPORTS = {"ini", "include", "inherit"}
PLACEHOLDERS = {"set", "set-placeholder", "set-ph"}
ENDS = {"end", "endif", "end-if", "endfor", "end-for"}
LOOPS = {"for", "for-times", "for-glob", "for-readline"}
MOST_OPTIONS, MOST_IMPORTS = 100_000, 1000  # a long loop, or files that import each other twice, would take for ever
HERE = "dpsnecoxji0123456789"  # magic letters that are about the file; the other known ones are about the machine
MACHINE = "vhtTVkuUgGb["


def parse(path: str, load: Loader, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in `path`, or in one of its sections (``path:section``). Raises UnusableConfig."""
    environ = environ or {}
    reader = Reader(load, environ)
    name, section = split_section(path, load)
    reader.read(name, section, ())
    reader.read_templates()
    return Config(shortest(name), tuple(Expander(reader.options, environ).expanded()))


def split_section(path: str, load: Loader) -> tuple[str, str]:
    """A path may have a colon in it: the whole is tried first."""
    name, colon, section = path.rpartition(":")
    if not colon:
        return path, "uwsgi"
    try:
        load(path)
    except (OSError, UnusableConfig):
        return name, section or "uwsgi"
    return path, "uwsgi"


class Reader:
    """Lines into options, in the order in which uWSGI has them; values as they stand but for magic variables."""

    def __init__(self, load: Loader, environ: Mapping[str, str]) -> None:
        self.options: list[Option] = []
        self._inherited: list[tuple[Option, Chain]] = []
        self._load, self._environ = load, environ
        self._template = False
        self._read = 0
        self._first: dict[str, str] = {}  # the capital letters are about the first file

    def read(self, path: str, section: str, chain: Chain, importer: Option | None = None) -> None:
        path = shortest(path)
        self._read += 1
        where, imports = (f"{importer.file}:{importer.line}", f"imports {path}, which ") if importer else (path, "")
        if (path, section) in chain:
            circle = " → ".join(name for name, _ in (*chain, (path, section)))
            raise UnusableConfig(where, f"the file imports itself, and uWSGI would never start: {circle}")
        try:
            text = self._load(path)
        except OSError as error:
            raise UnusableConfig(where, f"{imports}cannot be read: {error.strerror or error}") from error
        magic = magic_of(path, section)
        self._first = self._first or {letter.upper(): value for letter, value in magic.items() if letter.isalpha()}
        lines = list(lines_of(text, section, path, {**magic, **self._first}))
        if not lines and not any(line.strip() == f"[{section}]" for line in text.splitlines()):
            raise UnusableConfig(where, f"{imports}has no section [{section}], so nothing for uWSGI")
        for option in with_logic(lines, self._environ):
            self._add(option, (*chain, (path, section)))

    def read_templates(self) -> None:
        """What `inherit` names. uWSGI reads it last, and so it wins, and expands nothing of it."""
        self._template = True
        for option, chain in self._inherited:
            self.imported(option, chain)

    def _add(self, option: Option, chain: Chain) -> None:
        if len(self.options) > MOST_OPTIONS or self._read > MOST_IMPORTS:
            raise UnusableConfig(f"{option.file}:{option.line}", "too many imports, or loops that are too long")
        is_raw = option.name in IMMEDIATE | IMPORTS | PLACEHOLDERS or self._template
        option = replace(option, raw=is_raw)
        self.options.append(option)
        if option.name in PLACEHOLDERS:
            name, _, value = option.value.partition("=")
            self.options.append(replace(option, name=name, value=value))
        elif option.name == "inherit":
            self._inherited.append((option, chain))
        elif option.name in IMPORTS:
            self.imported(option, chain)

    def imported(self, option: Option, chain: Chain) -> None:
        """Read what `option` names: from the folder in which uWSGI is started, as uWSGI does, or else beside it."""
        name, colon, section = option.value.partition(":")
        section = section if colon and section else "uwsgi"
        if not name:  # ":section" is one of the same file
            return self.read(option.file, section, chain, option)
        if "://" in option.value or name == "-" or not name.endswith(".ini"):
            where = f"{option.file}:{option.line}"
            raise UnusableConfig(where, f"imports {option.value}, and only INI files can be read here")
        beside = os.path.normpath(os.path.join(os.path.dirname(option.file), name))
        for path in (name, beside):
            try:
                self._load(path)
            except FileNotFoundError:
                continue
            except (OSError, UnusableConfig):
                pass  # it is there, and reading it below says what is wrong with it
            return self.read(path, section, chain, option)
        raise UnusableConfig(f"{option.file}:{option.line}", f"imports {name}, which does not exist")


def shortest(path: str) -> str:
    """The same file by one name however it was reached, and below this folder by the short one."""
    relative = os.path.relpath(path)
    return os.path.normpath(path) if relative.startswith("..") else relative


def magic_of(path: str, section: str) -> dict[str, str]:
    """What ``%d`` and its like stand for in the file `path`, without the percent sign."""
    full = os.path.abspath(path)
    folder, name = os.path.split(full)
    stem, dot, ending = name.rpartition(".")
    parts = folder.strip("/").split("/")
    return {
        **dict.fromkeys(HERE, ""),
        **{str(number): part for number, part in enumerate(parts[:10])},
        "o": path, "p": full, "s": name, "d": folder.rstrip("/") + "/", "n": stem if dot else name,
        "e": ending if dot else "", "c": parts[-1], "x": "" if section == "uwsgi" else section,
        "%": "%",
    }  # fmt: skip


def lines_of(text: str, section: str, path: str, magic: Mapping[str, str]) -> Iterator[Option]:
    """The options in `section`, one a line."""
    here = ""
    for number, line in enumerate(text.split("\n"), 1):
        # whatever follows a percent sign and is not known vanishes with it; "%(" opens a placeholder and stays
        line = re.sub(r"%([^(]|$)", lambda m: m[0] if m[1] and m[1] in MACHINE else magic.get(m[1], ""), line).strip(
            " \t\r"
        )
        if line.startswith("["):
            here = line[1:-1]
        elif line and line[0] not in ";#" and here == section:
            name, _, value = line.partition("=")
            yield Option(name.rstrip(" \t"), value.strip(" \t"), path, number)


def with_logic(options: list[Option], environ: Mapping[str, str]) -> Iterator[Option]:
    """What stands below a condition marked as such, what stands in a loop as often as it runs."""
    logic: Option | None = None
    for option in options:
        if option.name in ENDS:
            logic = None
        elif option.name in LOOPS or re.match(r"if(-|env|exists|plugin|dir)", option.name):
            logic = option
        elif logic is None:
            yield option
        elif logic.name in ("for", "for-times"):
            times = range(1, (logic.number or 0) + 1)
            for word in logic.value.split() if logic.name == "for" else map(str, times):
                yield replace(option, value=option.value.replace("%(_)", word))
        else:
            argument = "%(_)" if logic.name in LOOPS or "opt" in logic.name else logic.value
            if "env" in logic.name:
                argument = environ.get(logic.value.partition("=")[0], "%(_)")
            yield replace(option, value=option.value.replace("%(_)", argument), maybe=True)
