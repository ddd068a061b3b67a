"""Files into options, in the order in which uWSGI has them: imports, placeholders, conditions, loops.

Only text comes in: `load` fetches the files. What uWSGI decides when it starts (``if-env``, ``if-file``…) is not
decided here: options below such a condition are kept and marked `maybe`.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from . import logic
from .environment import from_environment
from .expand import Expander
from .formats import Page, PageReader, format_of, no_section
from .ini import read_ini
from .magic import magic_of, of_first_file
from .model import Acknowledged, Config, ConfigError, Option, Problem
from .structured import read_json, read_xml, read_yaml

Chain = tuple[tuple[str, str], ...]  # the files, and the sections of them, that lead to the one being read
Loader = Callable[[str], str]  # a path to the file's text; raises OSError, or ConfigError
Glob = Callable[[str], list[str]]

READERS: dict[str, PageReader] = {"ini": read_ini, "yaml": read_yaml, "json": read_json, "xml": read_xml}
# what uWSGI does as soon as it reads it, with the value as it stands
IMMEDIATE = {"listen", "umask", "strict", "plugin", "plugins", "need-plugin", "need-plugins", "ienv"}
IMPORTS = {
    "ini": "ini", "yaml": "yaml", "yml": "yaml", "json": "json", "js": "json", "xml": "xml", "xmlconfig": "xml",
    "include": None, "config": None, "inherit": None,
}  # fmt: skip
PLACEHOLDERS = {"set-placeholder", "set-ph"}
MOST_OPTIONS, MOST_IMPORTS = 100_000, 1000  # a long loop, or files that import each other twice, would never end


def parse(
    path: str | Iterable[str],
    load: Loader,
    environ: Mapping[str, str] | None = None,
    expand_glob: Glob | None = None,
    before: Iterable[Option] = (),
) -> Config:
    """The configuration in `path` or in one of its sections (``path:section``); several paths are one configuration, as
    ``uwsgi --ini base.ini --ini app.ini`` has it. `before`: options that stand before the first file's.

    Raises: ConfigError.
    """
    paths = [path] if isinstance(path, str) else list(path)
    environ = environ or {}
    reader = Reader(load, environ, expand_glob)
    for option in (*from_environment(environ), *before):
        reader.add(option, ())
    for named in paths:
        name, section = split_section(named, load)
        reader.read(name, section, ())
    reader.read_templates()
    expander = Expander(reader.options, environ, reader.load_for)
    options = expander.expanded()
    problems = (*reader.problems, *expander.problems)
    return Config(
        shortest(split_section(paths[-1], load)[0]), options, problems, tuple(reader.acknowledged), reader.template
    )


def split_section(path: str, load: Loader) -> tuple[str, str]:
    """A path may have a colon in it: the whole is tried first."""
    name, colon, section = path.rpartition(":")
    if not colon:
        return path, ""
    try:
        load(path)
    except (OSError, ConfigError):
        return name, section
    return path, ""


class Reader:
    """Lines into options; values unchanged but for magic variables."""

    def __init__(self, load: Loader, environ: Mapping[str, str], expand_glob: Glob | None) -> None:
        self.options: list[Option] = []
        self.problems: list[Problem] = []
        self.acknowledged: list[Acknowledged] = []
        self.template = False
        self._load, self._environ, self._glob = load, environ, expand_glob
        self._inherited: list[tuple[Option, Chain]] = []
        self._condition: Option | None = None  # the condition or loop below which the lines stand
        self._below = False  # inside of what a condition or loop yields
        self._maybe = 0
        self._inheriting = False
        self._read = 0
        self._last = ""  # ":section" is one of the file that was read last
        self._first: dict[str, str] = {}

    def read(
        self, path: str, section: str, chain: Chain, importer: Option | None = None, kind: str | None = None
    ) -> None:
        path = shortest(path)
        self._read += 1
        wanted = section or "uwsgi"
        if (path, wanted) in chain and importer:
            circle = " → ".join(f"{name}:{own}" for name, own in (*chain, (path, wanted)))
            self._problem("import-circle", importer, f"imports itself: {circle}")
            return
        page = self._page(path, wanted, section, importer, kind)
        if page is None:
            return
        for option in page.options:
            self.add(option, (*chain, (path, wanted)))

    def _page(self, path: str, wanted: str, section: str, importer: Option | None, kind: str | None) -> Page | None:
        """One file's section; None where it cannot be read but something imports it, which is then named."""
        try:
            try:
                text = self._load(path)
            except OSError as error:
                raise ConfigError(path, f"cannot be read: {error.strerror or error}") from error
            magic = magic_of(path, section)
            self._last, self._first = path, self._first or of_first_file(magic)
            page = READERS[kind or format_of(path, text)](text, wanted, path, {**magic, **self._first})
            if not page.options and wanted not in page.sections:
                raise no_section(path, page, wanted)
        except ConfigError as error:
            if importer is None:
                raise
            self._problem("unread-import", importer, f"{error.where} {error.why}: what it sets was not judged")
            return None
        self.problems += page.problems
        self.acknowledged += acknowledged(page)
        self.template = self.template or page.template
        return page

    def read_templates(self) -> None:
        """The file that `inherit` names. uWSGI reads it last, so it wins, and expands nothing in it."""
        self._inheriting, self._condition = True, None
        for option, chain in self._inherited:
            self._import(option, chain)

    def add(self, option: Option, chain: Chain) -> None:
        """The next line, as uWSGI's add_exported_option() takes it."""
        if self._below:
            return self._take(option, chain)
        if option.name in logic.ENDS:
            self._condition = None
        elif self._condition is None:
            self._take(option, chain)
        else:
            self._below = True
            for repeated in self._repeated(self._condition, option):
                self._take(repeated, chain)
            self._below = False
        return None

    def _repeated(self, condition: Option, option: Option) -> Iterable[Option]:
        world = logic.World(self.options, self._environ, self._load, self._glob)
        return logic.below(condition, option, world)

    def _take(self, option: Option, chain: Chain) -> None:
        if len(self.options) > MOST_OPTIONS or self._read > MOST_IMPORTS:
            raise ConfigError(option.place, "too many imports, or loops that are too long")
        if option.name in logic.STARTS:
            return self._start(option)
        name = option.name
        maybe = option.maybe or self._maybe > 0
        raw = self._inheriting or name in IMMEDIATE or name in IMPORTS or name in PLACEHOLDERS or name == "set"
        option = replace(option, raw=raw, maybe=maybe)
        self.options.append(option)
        if name in PLACEHOLDERS or name == "set":
            own, equals, value = option.value.partition("=")
            if not equals:
                self._problem("invalid-placeholder", option, f"{name} wants NAME=VALUE")
            elif name == "set":
                self._take(replace(option, name=own, value=value, plain=False), chain)
            else:
                self.options.append(replace(option, name=own, value=value, plain=False))
        elif name == "inherit":
            self._inherited.append((option, chain))
        elif name in IMPORTS:
            self._import(option, chain)
        return None

    def _start(self, option: Option) -> None:
        if self._below:
            what = (
                f"{option.name} below {self._condition.name if self._condition else 'another'}: uWSGI knows no nesting"
            )
            self._problem("nested-condition", option, what)
        else:
            self._condition = option

    def _import(self, option: Option, chain: Chain) -> None:
        """Read what `option` names: from the folder in which uWSGI is started, as uWSGI does, or else beside it."""
        name, _, section = option.value.partition(":") if "://" not in option.value else (option.value, "", "")
        if not option.known or "://" in name or name == "-":
            self._problem("unread-import", option, f"imports {option.value}, which only uWSGI can read: not judged")
            return
        path = self._find(name, option.file) if name else self._last
        self._maybe += option.maybe
        self.read(path, section, chain, option, IMPORTS[option.name])
        self._maybe -= option.maybe

    def load_for(self, name: str, importer: str) -> str:
        return self._load(self._find(name, importer))

    def _find(self, name: str, importer: str) -> str:
        beside = os.path.normpath(os.path.join(os.path.dirname(importer), name))
        for path in (name, beside):
            try:
                self._load(path)
            except FileNotFoundError:
                continue
            except (OSError, ConfigError):
                pass  # it is there, and reading it says what is wrong with it
            return path
        return name

    def _problem(self, kind: str, option: Option, what: str) -> None:
        self.problems.append(Problem(kind, replace(option, maybe=option.maybe or self._maybe > 0), what))


def acknowledged(page: Page) -> Iterable[Acknowledged]:
    """Each comment's rules, for the option below it."""
    for comment in page.comments:
        below = min((option.line for option in page.options if option.line > comment.line), default=0)
        fields = comment.value.partition("ignore")[2].split()
        for rule in (fields[0] if fields else "").split(","):
            yield Acknowledged(rule, comment.file, below, comment)


def shortest(path: str) -> str:
    """One name for a file, however it was reached; relative to the working directory where it is below it."""
    relative = os.path.relpath(path)
    return os.path.normpath(path) if relative.startswith("..") else relative
