"""Files of a pitfall without what gives it away: comments, docstrings, names. Text in, text out."""

import ast
import re
from collections.abc import Iterator, Mapping

COMMENT = re.compile(r"^[ \t]*[;#](?!!).*\n", re.MULTILINE)
BLANK_LINES = re.compile(r"\n{3,}")
CALLABLE = re.compile(r"^callable = (\w+)\n", re.MULTILINE)
VIEW = re.compile(r"(?P<views>\bview=\w+\.views)\.(?P<name>\w+)")  # the one that answers /subscribe
APP_FILE = re.compile(r"%d([a-z_]+)(\.py|\.sh)\b")  # beside the INI
APPLICATION = "application"  # what uWSGI calls unless told otherwise
SUBSCRIBE = "subscribe"
Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.Import | ast.ImportFrom


def neutral_ini(text: str, role: str) -> str:
    """An INI whose apps are called after its `role`, "front" or "backend"."""
    text = VIEW.sub(rf"\g<views>.{SUBSCRIBE}", CALLABLE.sub("", text))
    return without_comments(APP_FILE.sub(rf"%d{role}\2", text))


def chosen_views(ini: str) -> list[str]:
    return [match["name"] for match in VIEW.finditer(ini)]


def without_comments(text: str) -> str:
    return BLANK_LINES.sub("\n\n", COMMENT.sub("", text)).strip("\n") + "\n"


def neutral_python(text: str, kept: Mapping[str, str] | None = None) -> str:
    """`text` without comments and docstrings.

    `kept`: the names that are wanted, and what they are called then; what none of them needs is left out.
    """
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    if kept is not None:
        needed = needed_names(tree, kept)
        tree.body = [kept_part(node, needed) if is_definition(node) else node for node in tree.body]
        tree.body = [node for node in tree.body if not isinstance(node, ast.Pass)]
        rename(tree, kept)
    return ast.unparse(tree) + "\n"


def needed_names(tree: ast.Module, kept: Mapping[str, str]) -> set[str]:
    """The names that `kept` and all statements other than definitions use, directly or by others."""
    definitions = {name: node for node in tree.body if is_definition(node) for name in defined(node)}
    waiting = [*kept, *(name for node in tree.body if not is_definition(node) for name in used(node))]
    needed: set[str] = set()
    while waiting:
        if (name := waiting.pop()) in definitions and name not in needed:
            needed.add(name)
            waiting += used(definitions[name])
    return needed


def is_definition(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assign):
        return all(isinstance(target, ast.Name) for target in node.targets)
    return isinstance(node, Definition)


def defined(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Import() | ast.ImportFrom():
            yield from (called(alias) for alias in node.names)
        case ast.Assign():
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def called(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def used(node: ast.AST) -> Iterator[str]:
    return (inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))


def kept_part(node: ast.stmt, needed: set[str]) -> ast.stmt:
    """The definition with what of it is `needed`; else a `pass`."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        node.names = [alias for alias in node.names if called(alias) in needed]
    return node if needed.intersection(defined(node)) else ast.Pass()


def rename(tree: ast.Module, kept: Mapping[str, str]) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = kept.get(node.id, node.id)
        elif isinstance(node, ast.FunctionDef):
            node.name = kept.get(node.name, node.name)
