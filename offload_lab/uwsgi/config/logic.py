"""uWSGI's conditions and loops: which options a line below one yields."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from .model import ConfigError, Option, to_int

ENDS = {"end", "endif", "end-if", "endfor", "end-for"}
LOOPS = {"for", "for-times", "for-glob", "for-readline"}
CONDITIONS = {
    "if-opt", "if-not-opt", "if-env", "if-not-env", "ifenv", "if-reload", "if-not-reload", "if-hostname",
    "if-not-hostname", "if-hostname-match", "if-not-hostname-match", "if-exists", "if-not-exists", "ifexists",
    "if-plugin", "if-not-plugin", "ifplugin", "if-file", "if-not-file", "if-dir", "if-not-dir", "ifdir", "if-directory",
}  # fmt: skip
STARTS = LOOPS | CONDITIONS


@dataclass(frozen=True)
class World:
    """What a condition is decided by."""

    options: list[Option]
    environ: Mapping[str, str]
    load: Callable[[str], str]
    glob: Callable[[str], list[str]] | None


def below(condition: Option, option: Option, world: World) -> Iterator[Option]:
    """`option` once for each time that uWSGI sets it, ``%(_)`` replaced; `maybe` where only the machine can decide."""
    option = replace(option, maybe=option.maybe or condition.maybe)
    match condition.name:
        case "for":
            yield from (with_item(option, word) for word in condition.value.split(" ") if word)
        case "for-times":
            times = range(1, to_int(condition.value) + 1)
            yield from (with_item(option, str(number)) for number in times)
        case "for-glob":
            found = world.glob(condition.value) if world.glob else []
            yield from (with_item(replace(option, maybe=True), path) for path in found or ["%(_)"])
        case "for-readline":
            yield from (with_item(replace(option, maybe=True), line) for line in lines_in(condition.value, world))
        case "if-opt" | "if-not-opt":
            yield from by_option(condition, option, world)
        case "if-env" | "if-not-env" | "ifenv":
            name = condition.value.partition("=")[0]
            yield with_item(replace(option, maybe=True), world.environ.get(name, "%(_)"))
        case "if-reload" | "if-not-reload":
            yield replace(option, maybe=True)
        case _:
            yield with_item(replace(option, maybe=True), condition.value)


def with_item(option: Option, item: str) -> Option:
    return replace(option, value=option.value.replace("%(_)", item))


def lines_in(path: str, world: World) -> list[str]:
    try:
        return world.load(path).splitlines()
    except (OSError, ConfigError):
        return ["%(_)"]


def by_option(condition: Option, option: Option, world: World) -> Iterator[Option]:
    """Decided where the lines above set the option. Where none does, the command line may."""
    name, equals, wanted = condition.value.partition("=")
    found = next((known for known in world.options if known.name == name), None)
    if found is None or found.maybe:
        yield replace(option, maybe=True)
        return
    holds = not equals or found.value == wanted
    if holds == (condition.name == "if-opt"):
        yield with_item(option, found.value)
