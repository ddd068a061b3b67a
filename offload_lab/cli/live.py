"""./lab live: one page on which a stage is seen at work."""

import resource
import time
import webbrowser
from contextlib import ExitStack, suppress
from pathlib import Path

import click

from offload_lab.errors import LabError, MissingDependencyError
from offload_lab.inspect import take_snapshot_at
from offload_lab.live.reader import KernelLists
from offload_lab.live.recording import LiveRecording
from offload_lab.live.server import Server
from offload_lab.live.side import Side
from offload_lab.live.stage_side import StageSide
from offload_lab.live.view import View
from offload_lab.stages import manifest
from offload_lab.stages.step import Step, Variant
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.binary import Engine

from .console import err, out
from .needs import LOCKS, needs

DESCRIPTORS = 8192  # for 2,000 clients on each side, and two for each in a front


@click.command(epilog="Example: ./lab live 03")
@click.argument("step", required=False)
@click.argument("variants", nargs=-1, metavar="[VARIANT]...")
@click.option(
    "--attach",
    "addresses",
    multiple=True,
    metavar="PATH_OR_ADDRESS",
    help="Watch any uWSGI instead, by its stats server.",
)
@click.option(
    "--replay", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Play what the page saved."
)
@click.option(
    "--page", type=click.Path(dir_okay=False, path_type=Path), help="With --replay: write it as one HTML file."
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The page's port; without it, a free one.")
@click.option("--browser/--no-browser", default=True, help="Open the page, or print its address only.")
@click.option("--engine", "engine_name", envvar="LAB_UWSGI", help="wheel (default), built, or a path.")
def live(
    step: str | None,
    variants: tuple[str, ...],
    addresses: tuple[str, ...],
    replay: Path | None,
    page: Path | None,
    port: int,
    browser: bool,
    engine_name: str | None,
) -> None:
    """Watch STEP at work on a page in your browser.

    Two VARIANTs side by side, with the same buttons for both.

    Without VARIANT: the one that blocks and the one to copy. Ctrl-C ends the page and everything that it started.
    """
    if sum(map(bool, (step, addresses, replay))) != 1:
        raise click.UsageError("give one of: a STEP, --attach PATH_OR_ADDRESS, --replay FILE")
    if page and not replay:
        raise click.UsageError("--page writes what --replay reads: give both")
    if replay:
        show_replay(LiveRecording.load(replay), page, port, browser)
        return
    with ExitStack() as exits:
        if step:
            found = manifest.find(step)
            view = view_of(found, variants, engine_for(found, variants, engine_name))
        else:
            for address in addresses:
                take_snapshot_at(address)  # raises where it cannot be read
            lists = KernelLists()
            view = View("attached", "", [Side(address, lists, tell) for address in addresses])
        server = exits.enter_context(serve(exits, view, port))
        announce(server, browser)
        while True:
            view.check()
            time.sleep(0.2)


def serve(exits: ExitStack, view: View, port: int) -> Server:
    """Raises: PortInUseError, with nothing left running."""
    exits.enter_context(view)
    return Server(view, port)


def view_of(step: Step, names: tuple[str, ...], engine: Engine) -> View:
    chosen = variants_of(step, names, engine)
    for variant in chosen:
        needs(*(name for name in variant.programs if name in LOCKS))
    make_room()
    lists = KernelLists()
    others = [*chosen[1:], chosen[0]] if len(chosen) > 1 else [None]
    sides = [StageSide(step, shown, other, lists, engine, tell) for shown, other in zip(chosen, others, strict=True)]
    return View(step.name, step.title, sides)


def engine_for(step: Step, names: tuple[str, ...], engine_name: str | None) -> Engine:
    """One that can run all the variants to be shown; where there is none, the default."""
    wanted = (names or step.live.variants) if step.live else ()
    with suppress(MissingDependencyError):
        return binary.find_able((need for name in wanted for need in step.variant(name).needs), engine_name)
    return binary.find(engine_name)


def variants_of(step: Step, names: tuple[str, ...], engine: Engine) -> list[Variant]:
    """Those that were named; else the step's own choice, as far as this uWSGI can run it."""
    if step.live is None:
        having = ", ".join(other.number for other in manifest.steps() if other.live)
        raise LabError(
            f"{step.name} has no live view; these steps have: {having}. ./lab run {step.number} VARIANT starts one of"
            " its variants, and says how to watch that with ./lab live --attach"
        )
    if names:
        chosen = [step.variant(name) for name in dict.fromkeys(names)]
        for variant in chosen:
            engine.check(variant.needs)
        return chosen
    able = [step.variant(name) for name in step.live.variants]
    return [candidate for candidate in able if engine.proved.issuperset(candidate.needs)]


def make_room() -> None:
    """Let this process and the stages open the files that many clients need, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def show_replay(recording: LiveRecording, page: Path | None, port: int, browser: bool) -> None:
    if page:
        try:
            page.write_text(recording.page())
        except OSError as error:
            raise LabError(f"cannot write {page}: {error.strerror}; name a file in a folder that exists") from error
        out.print(f"written: {page}", soft_wrap=True, markup=False)
        return
    with Server(recording, port) as server:
        announce(server, browser)
        while True:
            time.sleep(1)


def announce(server: Server, browser: bool) -> None:
    out.print(f"live: {server.url}", soft_wrap=True, markup=False)
    out.print("Ctrl-C ends it, and all that it started.", style="dim")
    if browser:
        webbrowser.open(server.url)


def tell(text: str) -> None:
    err.print(text, style="red", markup=False)
