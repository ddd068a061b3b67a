"""./lab class: the class board on the teacher's machine, until Ctrl-C."""

import ipaddress
import socket
import time
import webbrowser

import click
import psutil

from offload_lab.classroom import SITE, keys
from offload_lab.course.agenda import plan
from offload_lab.errors import LabError, PortInUseError
from offload_lab.process.deadlines import LOOPBACK
from offload_lab.process.server_process import free_port
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi import binary

from .console import out, say
from .run import Port

PORT = 9000  # not that of ./lab run, which the teacher shows beside it
EVERYWHERE = "0.0.0.0"  # noqa: S104 (only if the teacher says so)


@click.command("class", epilog="Example: ./lab class 90 --bind 192.168.1.20")
@click.argument("minutes", type=click.IntRange(min=1), default=90)
@click.option("--bind", metavar="ADDRESS", help="Also listen on this address of this machine, for the class's network.")
@click.option(
    "--port",
    type=Port(),
    metavar="NUMBER|auto",
    default=PORT,
    show_default=True,
    help="The board's port; auto: a free one.",
)
@click.option("--browser/--no-browser", default=True, help="Open the teacher's board, or print its address only.")
def class_board(minutes: int, bind: str | None, port: int | None, browser: bool) -> None:
    """Show who of a class of MINUTES (90) is where: a board for the teacher and one for the projector.

    Only this machine can reach it, unless you give --bind. Ctrl-C ends it and deletes all that it was told.
    """
    plan(manifest.steps(), minutes)  # raises where these are too few
    hosts = reachable_by(bind)
    port = port or free_port()
    for address in dict.fromkeys((bind or LOOPBACK, LOOPBACK)):
        check_free(address, port)
    with Stage(
        manifest.load(SITE / "step.toml"),
        "board",
        port=port,
        engine=binary.find("wheel"),
        placeholders={
            "minutes": str(minutes),
            "hosts": ",".join(hosts),
            "address": EVERYWHERE if bind == EVERYWHERE else LOOPBACK,
        },
        options=["--http-socket", f"{bind}:{port}"] if bind not in (None, EVERYWHERE, LOOPBACK) else [],
    ) as stage:
        announce(stage, hosts, bind)
        if browser:
            webbrowser.open(board_url(stage, "teacher"))
        while True:
            for process in stage.everything:
                process.check_lives()
            time.sleep(0.5)


def announce(stage: Stage, hosts: list[str], bind: str | None) -> None:
    code = keys.code(key_of(stage))
    lines = {
        "teacher's board": board_url(stage, "teacher"),
        "projector": board_url(stage, "projector"),
        "seats": f"./lab join http://{hosts[0]}:{stage.port}/ {code}",
        "on a phone": f"http://{hosts[0]}:{stage.port}/   with the code {code}",
        "where its streams are": f"./lab explain --stats {stage.front.stats_socket}",
    }
    for title, line in lines.items():
        out.print(f"{title:>22}: {line}", markup=False, soft_wrap=True)
    out.print()
    say(exposure(hosts, stage.port, bind), style="yellow" if bind else "")
    say(
        "The first two addresses are secret, and work on this machine only. Ctrl-C ends the class and deletes its data."
    )


def exposure(hosts: list[str], port: int, bind: str | None) -> str:
    if not bind:
        return f"Only this machine can reach it. For the class's network: ./lab class --bind {' or '.join(addresses())}"
    where = ", ".join(f"{host}:{port}" for host in hosts)
    return (
        f"Open to everybody in this machine's network at {where}, without encryption: the page to join, and with the"
        " code what seats send. Nothing else of this machine is served."
    )


def board_url(stage: Stage, board: str) -> str:
    return f"{stage.url}/{board}/{keys.board_token(key_of(stage), board)}/"


def key_of(stage: Stage) -> str:
    return (stage.run / "class-key").read_text()


# --- addresses


def addresses() -> list[str]:
    """This machine's IPv4 addresses in networks, loopback only if there is no other."""
    found = [
        entry.address
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family == socket.AF_INET and not ipaddress.ip_address(entry.address).is_loopback
    ]
    return found or [LOOPBACK]


def reachable_by(bind: str | None) -> list[str]:
    """The addresses at which seats reach the class.

    Raises: LabError for what is no address of this machine.
    """
    if bind is None:
        return [LOOPBACK]
    if bind == EVERYWHERE:
        return addresses()
    try:
        ipaddress.IPv4Address(bind)
    except ValueError:
        raise LabError(f"--bind {bind!r} is no IPv4 address; this machine has {', '.join(addresses())}") from None
    return [bind]


def check_free(address: str, port: int) -> None:
    """Raises: LabError where this machine does not have that address, PortInUseError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, 0))
        except OSError as error:
            raise LabError(f"--bind {address}: {error.strerror}; this machine has {', '.join(addresses())}") from None
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            raise PortInUseError(port) from None
