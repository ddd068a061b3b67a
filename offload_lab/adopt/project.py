"""What a Django project is called and where its parts are: read from its files, of which none is run."""

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from offload_lab.errors import LabError

SETTINGS = "DJANGO_SETTINGS_MODULE"
OTHERS_FILES = {"node_modules", "site-packages", "build", "dist"}
# folders and packages that say what stands in them, and not whose it is
NO_NAMES = {
    "app",
    "apps",
    "backend",
    "code",
    "config",
    "conf",
    "core",
    "django",
    "project",
    "server",
    "site",
    "src",
    "web",
}
DEEPEST = 4  # folders below manage.py in which a wsgi.py or an INI is looked for


@dataclass(frozen=True)
class Project:
    """`folder` has the manage.py; `settings` are those of production, as wsgi.py names them; `inis` are uWSGI's."""

    folder: Path
    name: str
    settings: str
    wsgi: str
    apps: frozenset[str]  # packages beside manage.py
    inis: tuple[Path, ...]


def look(manage: Path) -> Project:
    """The project of `manage`, a manage.py or its folder.

    Raises: LabError where there is none, or where its settings or its wsgi module cannot be told.
    """
    path = (manage / "manage.py" if manage.is_dir() else manage).resolve()
    if not path.is_file():
        raise LabError(f"{path} is not there; name a project's manage.py")
    folder = path.parent
    development = settings_named_in(path)
    if development is None:
        raise LabError(f"{path} sets no {SETTINGS}; is it a Django project's manage.py?")
    wsgi = find_wsgi(folder, development)
    if wsgi is None:
        raise LabError(f"no wsgi.py below {folder} calls get_wsgi_application(); uWSGI needs one")
    module, file = wsgi
    settings = settings_named_in(file) or development
    packages = frozenset(package.name for package in folder.iterdir() if (package / "__init__.py").is_file())
    return Project(folder, name_of(folder, module), settings, module, packages, tuple(find_inis(folder)))


def settings_named_in(path: Path) -> str | None:
    """The settings module in ``os.environ.setdefault("DJANGO_SETTINGS_MODULE", …)`` or an assignment to it."""
    for node in ast.walk(parse(path)):
        match node:
            case ast.Call(
                func=ast.Attribute(attr="setdefault"),
                args=[ast.Constant(value=name), ast.Constant(value=str(settings))],
            ) if name == SETTINGS:
                return settings
            case ast.Assign(
                targets=[ast.Subscript(slice=ast.Constant(value=name))], value=ast.Constant(value=str(settings))
            ) if name == SETTINGS:
                return settings
    return None


def parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        raise LabError(f"{path}: Python cannot read it: {error}") from error


def find_wsgi(folder: Path, settings: str) -> tuple[str, Path] | None:
    """The module and its file: that of the settings' package before any other, the nearest first."""
    found = [
        path
        for path in files_below(folder)
        if (path.name == "wsgi.py" or path.parts[-2:] == ("wsgi", "__init__.py"))
        and "get_wsgi_application" in path.read_text(errors="replace")
    ]
    package = settings.partition(".")[0]
    own = [path for path in found if path.relative_to(folder).parts[0] == package]
    best = min(own or found, key=lambda path: (len(path.parts), path), default=None)
    if best is None:
        return None
    parts = best.relative_to(folder).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__"), best


def files_below(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        here = Path(root)
        depth = len(here.relative_to(folder).parts)
        folders[:] = [] if depth == DEEPEST else sorted(below for below in folders if is_own(here / below))
        yield from (here / name for name in sorted(names))


def is_own(folder: Path) -> bool:
    """Not a virtual environment, a hidden folder, or what a package manager made."""
    return folder.name not in OTHERS_FILES and folder.name[0] != "." and not (folder / "pyvenv.cfg").exists()


def find_inis(folder: Path) -> Iterator[Path]:
    for path in files_below(folder):
        if path.suffix == ".ini" and re.search(r"(?m)^\[uwsgi\]", path.read_text(errors="replace")):
            yield path


def name_of(folder: Path, wsgi: str) -> str:
    """For /srv/NAME, users and units: the package's, or the first folder upwards that has a name of its own."""
    for name in (wsgi.partition(".")[0], folder.name, folder.parent.name):
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        if slug and slug[0].isalpha() and slug not in NO_NAMES:
            return slug
    return "site"
