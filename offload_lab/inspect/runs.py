"""Which of the repository's variants run, from the command lines of our own user's processes."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from offload_lab.errors import LabError
from offload_lab.stages import manifest
from offload_lab.stages.loopback import place_of_copy
from offload_lab.stages.step import Step, Variant
from offload_lab.uwsgi.stats import StatsError, read_stats


class Run(NamedTuple):
    """A variant that runs, with its sockets in `folder`."""

    step: Step
    variant: Variant
    folder: Path

    @property
    def command(self) -> str:
        return f"./lab explain {self.step.number} {self.variant.name}"


def find_run(step: Step, variant: Variant) -> Path:
    """The run folder of a running `variant`.

    Raises: LabError where there is none, or more than one.
    """
    found = [run for run in runs([step]) if run.variant == variant]
    if not found:
        raise LabError(why_none(step, variant))
    if len(found) > 1:
        raise LabError(f"{step.name} {variant.name} runs {len(found)} times; choose one:{choices(found)}")
    return found[0].folder


def why_none(step: Step, variant: Variant) -> str:
    """What is seen of a variant whose front's stats server does not answer."""
    backends = ""
    for process in psutil.process_iter():
        for ini, run in named_by(process):
            if ini == front_of(step, variant, run):
                try:
                    read_stats(stats_socket(run, ini))
                except StatsError as error:
                    front = f"process {process.pid} is the front of {step.name} {variant.name}"
                    return f"{front}, but its stats socket does not answer: {error}"
            elif ini.parent == step.folder.resolve() and ini.name in variant.inis[:-1] and not backends:
                backends = f"; its backend {ini.name} is, as process {process.pid}"
    start = f"./lab run {step.number} {variant.name}"
    return f"the front of {step.name} {variant.name} is not running{backends}; start it in another terminal: {start}"


def only_run(found: Sequence[Run]) -> Run:
    """Raises: LabError where none of the repository's variants runs, or more than one."""
    if not found:
        start, other = "./lab run 03 header", "./lab explain --stats PATH_OR_ADDRESS"
        raise LabError(f"no step of this repository is running; start one: {start}; or name any uWSGI: {other}")
    if len(found) > 1:
        raise LabError(f"{len(found)} variants run; choose one:{choices(found)}")
    return found[0]


def choices(found: Sequence[Run]) -> str:
    return "".join(f"\n    {run.command} --run {run.folder}" for run in found)


def runs(steps: Sequence[Step] | None = None) -> list[Run]:
    """All variants of `steps`, or of every step, whose front's stats server answers."""
    known = [(step, variant) for step in steps or manifest.steps() for variant in step.variants]
    named = {
        Run(step, variant, run): ini
        for process in psutil.process_iter()
        for ini, run in named_by(process)
        for step, variant in known
        if ini == front_of(step, variant, run)
    }
    found = [run for run, ini in named.items() if answers(run.folder, ini)]
    return sorted(found, key=lambda run: (run.step.name, run.variant.name, run.folder))


def front_of(step: Step, variant: Variant, run: Path) -> Path | None:
    """The front's INI as the variant starts it in `run`; None where `run` has no copies of this variant."""
    if not step.loopback:
        return (step.folder / variant.inis[-1]).resolve()
    has_proxy = place_of_copy(step.folder, variant.proxy, run).is_file() or not variant.proxy
    return place_of_copy(step.folder, variant.inis[-1], run) if has_proxy else None


def named_by(process: psutil.Process) -> list[tuple[Path, Path]]:
    with suppress(psutil.Error, OSError):
        if process.uids().real == os.getuid():
            return list(named_in(process.cmdline(), Path(process.cwd())))
    return []


def named_in(arguments: Sequence[str], cwd: Path) -> Iterator[tuple[Path, Path]]:
    """INI and run folder of a uWSGI that was started by `arguments`."""
    run = None
    for argument in arguments:
        name, _, value = argument.removeprefix("--set-placeholder=").partition("=")
        if name == "run":
            run = cwd / value
    for argument in arguments:
        if argument.endswith(".ini"):
            ini = (cwd / argument.removeprefix("--ini=")).resolve()
            yield ini, (run or ini.parent / ".run").resolve()  # the second as the INIs have it


def answers(run: Path, ini: Path) -> bool:
    try:
        read_stats(stats_socket(run, ini))
    except OSError:
        return False
    return True


def stats_socket(run: Path, ini: Path) -> Path:
    return run / f"{ini.stem}-stats.sock"
