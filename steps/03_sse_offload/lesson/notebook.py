"""What the notebooks about event streams need: two sets of headers, and a restart behind nginx as a page sees it."""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from offload_lab.clients.event_source import EventSourcePool
from offload_lab.clients.session import Session
from offload_lab.errors import MissingDependencyError
from offload_lab.process.deadlines import Deadline
from offload_lab.stages import manifest, nginx
from offload_lab.stages.stage import Stage

PATIENCE_S = 30.0
TLS = re.compile(r" ssl http2;|^\s*ssl_certificate.*\n", re.MULTILINE)
# the page here is a small client: no TLS, no chunks, and a stream ends with its connection
PLAIN = "; chunked_transfer_encoding off; keepalive_timeout 0;"
STATUS_LINE = b"HTTP/1."
LOGGED = re.compile(r'"GET (\S+) HTTP/[\d.]+" (\d{3}) ')


def nginx_is_here() -> bool:
    """Where it is not, one line says how to get it."""
    try:
        nginx.find()
    except MissingDependencyError as missing:
        print(f"No {missing.what}: type {missing.install} in a terminal and run this again.")
        return False
    return True


@contextmanager
def behind_nginx(step: str, variant: str, without: Sequence[str] = ()) -> Iterator[Stage]:
    """The variant behind the step's nginx.conf, in plain HTTP, and `without` the lines in which one of these stands."""
    found = manifest.find(step)
    text = TLS.sub(lambda part: PLAIN * part[0].startswith(" ssl"), (found.folder / "nginx.conf").read_text())
    lines = [line for line in text.splitlines() if not any(word in line for word in without)]
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "nginx.conf"
        conf.write_text("\n".join(lines))
        proxied = replace(found, variants=(replace(found.variant(variant), proxy=str(conf)),))
        with Stage(proxied, variant, placeholders={"tick_s": "0.2"}) as stage:
            yield stage


def restart(stage: Stage, name: str) -> tuple[str, str, str, str]:
    """Open a page's stream through nginx, stop the process `name`, start it again once nginx has answered the page.

    Returns its name, what nginx answered meanwhile, the last ticket before and the first one after.
    """
    assert stage.proxy is not None
    ada = Session(stage.port)
    ada.log_in()
    with EventSourcePool(stage.proxy.port, 1, stage.step.path, cookie=ada.cookie) as pages:
        [page] = pages.all
        pages.wait_until_all(lambda source: len(source.events) > 1, PATIENCE_S, "a second ticket")
        ended = len(answers(stage))
        process = stage.process(name)
        process.stop()
        stage.proxy.wait_until(lambda: len(answers(stage)) > ended + 1, Deadline(PATIENCE_S))
        before, meanwhile = page.last_event_id, answers(stage)[ended + 1 :]
        process.start()
        process.wait_ready(Deadline(PATIENCE_S))
        pages.wait_until_all(
            lambda source: source.last_event_id != before or bool(source.given_up), PATIENCE_S, "the page back"
        )
        after = next((event.last_event_id for event in page.events if int(event.last_event_id) > int(before)), "none")
    return name, ", ".join(meanwhile), before, after


def answers(stage: Stage) -> list[str]:
    """The status of every request for the stream that nginx is done with."""
    return [
        status for path, status in LOGGED.findall((stage.run / "access.log").read_text()) if path == stage.step.path
    ]


def show_sets_of_headers(raw: bytes) -> None:
    """What the client received, up to the end of the second set of headers: that one's place is a matter of time."""
    second = raw.rfind(STATUS_LINE)
    end = raw.find(b"\r\n\r\n", second)
    print(raw[: end + 2].decode().strip())
