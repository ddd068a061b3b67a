"""step.toml, read and checked: all steps, the one that a word names, and what is wrong in a manifest."""

import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from offload_lab.errors import ManifestError, UnknownNameError
from offload_lab.paths import ROOT
from offload_lab.programs import PROGRAMS

from .loopback import Loopback
from .step import TASK_KINDS, Live, Mistake, Section, Server, Step, Task, Variant

KEYS = ("title", "minutes", "path", "scenario", "try", "live", "variants", "sections", "tasks", "servers", "loopback")
REVIEW_MINUTES = 8  # the last notebook's, which belongs to no step
LIVE_KEYS = ("download", "stream", "websocket", "variants")


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
