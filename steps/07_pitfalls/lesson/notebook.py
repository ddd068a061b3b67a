"""What the notebook about pitfalls needs beside `offload_lab.notebook`: each pitfall's broken and fixed variant,
observed from outside by one client and one bystander."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from rich.table import Table

from offload_lab.clients import ping
from offload_lab.clients.raw import RawClient
from offload_lab.clients.session import Session
from offload_lab.clients.sse import EventStreamParser, request_bytes
from offload_lab.inspect.socket_owners import find_socket_owners
from offload_lab.notebook import answers
from offload_lab.notebook.display import progress, show_bundle, show_table
from offload_lab.paths import ROOT
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.stages.step import Step
from offload_lab.system import no_thread_waits

from .causes import STEP
from .causes import show_cause as show_cause

# By number, since each name is a diagnosis: the pitfall, and which of the notebook's answers is its cause
CASES = {
    1: ("no_offload_threads", 3),
    2: ("headers_twice", 1),
    3: ("content_type_bypass", 4),
    4: ("anonymous_user", 2),
    5: ("sse_never_flushes", 3),
    6: ("backend_down", 1),
}
RACING = (2,)  # Django's headers mostly come first, and only then the page is empty
RACES = 8
BACKEND_STOPPED = (6,)  # before the client's request; the notebook must not show it beside the question
CAUSES = 4  # to choose from, in each case
LONGEST_LINE = 100  # characters shown of a line
FIRST_LINES = 14
STATUS = re.compile(r"msecs (?:(via \w+\(\)) )?\(HTTP/1\.\d (\d+)\)")  # of a request in uWSGI's log


@dataclass(frozen=True)
class Observation:
    """What one client received from a variant, and the state of the front while the client was still connected."""

    variant: str
    raw: bytes
    served: bool  # a bystander, at /ping
    busy: bool
    offloaded: int
    proxied_by: str
    log: list[str]  # the front's lines about the client's request

    @property
    def events(self) -> list[str]:
        return [event.data for event in EventStreamParser().feed(self.raw.partition(b"\r\n\r\n")[2])]

    @property
    def announces_no_body(self) -> bool:
        return b"\r\nContent-Length: 0\r\n" in self.raw.partition(b"\r\n\r\n")[0] + b"\r\n"

    @property
    def noticed(self) -> bool:
        """Whether a monitor would have: a bystander gets no answer, or the log has a status of 500 or more."""
        return not self.served or any("HTTP/1.1 5" in line for line in self.log)


def observe_pair(case: int, path: str = "/subscribe", **options: Any) -> tuple[Observation, Observation]:
    """The broken and the fixed variant of a case, side by side; `options` are those of `observe`."""
    answers.answered()  # a case's symptom is shown, whatever became of the one before
    pitfall, _ = CASES[case]
    name = f"case {case}"
    if case in BACKEND_STOPPED:
        options["before"] = lambda stage: stage.process("sse").stop()
    with progress(name) as done, ThreadPoolExecutor(2) as pool:
        pair = []
        broken, fixed = f"{pitfall}_broken", f"{pitfall}_fixed"
        for observation in pool.map(lambda variant: observe_symptom(case, variant, path, **options), (broken, fixed)):
            pair.append(observation)
            done(len(pair) / 2)
    return replace(pair[0], variant=name), replace(pair[1], variant=f"{name}, fixed")


def observe_symptom(case: int, variant: str, path: str, **options: Any) -> Observation:
    """`observe`, again where the case is a race and this run shows no symptom: a few times, since it may have gone."""
    for _ in range(RACES if case in RACING and variant.endswith("_broken") else 1):
        seen = observe(variant, path, **options)
        if seen.announces_no_body:
            break
    return seen


def observe(
    variant: str,
    path: str,
    *,
    step: str | Step = STEP,
    logged_in: bool = False,
    headers: Mapping[str, str] | None = None,
    before: Callable[[Stage], object] = lambda stage: None,
    for_s: float = 1.0,
) -> Observation:
    """Start `variant`, call `before` with its stage, request `path` and read the answer for `for_s` seconds."""
    with Stage(step, variant, placeholders={"tick_s": "0.1"}) as stage:
        session = Session(stage.port)
        if logged_in:
            session.log_in()
        before(stage)
        [worker] = stage.workers()
        offloaded_before = worker.offloaded
        request = request_bytes(stage.port, path, session.cookie, (headers or {}).items())
        with RawClient(stage.port, request) as client:
            raw = client.read_for(for_s)
            proxied_by = find_proxy(stage, client.port)
            served = is_served(stage)
            [worker] = stage.workers()
        log = [line for line in stage.front.log.read_text(errors="replace").splitlines() if f"GET {path} " in line]
    return Observation(variant, raw, served, worker.busy, worker.offloaded - offloaded_before, proxied_by, log)


def observe_anonymous_and_user(variant: str, path: str, step: Step) -> tuple[Observation, Observation]:
    """The same variant requested by an anonymous client and by a logged-in user, side by side."""
    with ThreadPoolExecutor(2) as pool:
        anonymous, user = pool.map(
            lambda logged_in: observe(variant, path, step=step, logged_in=logged_in), (False, True)
        )
    return anonymous, user


def is_served(stage: Stage, within_s: float = 1.0) -> bool:
    try:
        return ping(stage.port, timeout_s=within_s).status == 200
    except OSError:
        return False


def find_proxy(stage: Stage, port: int) -> str:
    """Which thread of the front waits for the connection from `port`."""
    owners = find_socket_owners(stage.port, port, stage.front.pids())
    if not owners:
        return "none, it is closed"
    if owners[0].tid is None:
        return no_thread_waits()
    return "the worker's main thread" if owners[0].is_main_thread else "an offload thread"


def show_answer(observation: Observation, *, as_browser: bool = False) -> None:
    """What the client received, and whether a bystander was served meanwhile.

    A browser believes the first response headers, so it reads no more of the body than they announce.
    """
    if answers.hides("the answer"):
        return
    head, blank, body = observation.raw.partition(b"\r\n\r\n")
    if as_browser and (length := re.search(rb"Content-Length: (\d+)", head)):
        body = body[: int(length[1])]
    lines = (head + blank + body).decode(errors="replace").splitlines()
    print("\n".join(line[:LONGEST_LINE] for line in lines[:FIRST_LINES]) or "(not one byte)")
    if len(lines) > FIRST_LINES:
        print(f"… and {len(lines) - FIRST_LINES} lines more")
    print(f"\na bystander at /ping: {'pong' if observation.served else 'no answer'}")


def check_cause(cause: object, case: int) -> None:
    """The learner's answer beside the cause. Without one, nothing that names it is shown."""
    _, right = CASES[case]
    answers.answered()
    if cause is None or isinstance(cause, bool) or cause not in range(1, CAUSES + 1):
        answers.ask(about_code=True)
        given = "You named no cause yet." if cause is None else f"{cause!r} is none of the numbers above."
        print(f"{given} Write one of 1 to {CAUSES} into the cell above, run it and this one again: being wrong helps.")
    elif cause == right:
        print(f"Number {cause} is the cause.")
    else:
        print(f"You named number {cause}. It is number {right}: the measurements tell them apart.")


def show_measurements(*observations: Observation) -> None:
    """What can be measured from outside, a column for each."""
    rows = Table("", *(seen.variant for seen in observations))
    for name, value in MEASUREMENTS.items():
        rows.add_row(name, *(str(value(seen)) for seen in observations))
    show_table(rows)


MEASUREMENTS: dict[str, Callable[[Observation], object]] = {
    "worker": lambda seen: "busy" if seen.busy else "idle",
    "offloaded": lambda seen: f"+{seen.offloaded}",
    "proxied by": lambda seen: seen.proxied_by,
    "received, bytes": lambda seen: len(seen.raw),
    "sets of headers": lambda seen: seen.raw.count(b"HTTP/1."),
    "events": lambda seen: len(seen.events),
    "distinct events": lambda seen: len(set(seen.events)),
    "/ping": lambda seen: "pong" if seen.served else "no answer",
}


def show_monitoring(observations: Sequence[Observation]) -> None:
    """What the front's log says of each case, and whether a monitor would have noticed it."""
    rows = Table("case", "status in the front's log", "a bystander's /ping", "noticed")
    for seen in observations:
        logged = STATUS.search(seen.log[-1]) if seen.log else None
        status = f"{logged[2]}, {logged[1] or 'answered by the worker'}" if logged else "nothing yet"
        rows.add_row(seen.variant, status, "pong" if seen.served else "no answer", "yes" if seen.noticed else "no")
    show_table(rows)


def lint(*files: str) -> None:
    """What ``./lab lint`` says of these INIs: of this step's by their names, of others by their paths."""
    folder = manifest.find(STEP).folder
    paths = [os.path.relpath(folder / file, ROOT) for file in files]
    command = [sys.executable, "-m", "offload_lab", "lint", *paths]
    plain = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}  # a kernel has it set
    answer = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True, check=False)
    print(f"exit status {answer.returncode}\n\n{answer.stdout}{answer.stderr}".rstrip())


def show_pitfalls() -> None:
    """Every pitfall of the step with its symptom and its page, as the step's README lists them."""
    text = (manifest.find(STEP).folder / "README.md").read_text()
    here = os.path.relpath(manifest.find(STEP).folder)  # from the notebook's folder
    rows = [line.replace("](", f"]({here}/") for line in text.splitlines() if line.startswith("|")]
    show_bundle({"text/markdown": "\n".join(rows), "text/plain": text[text.index("|") :]})


def user_names(observation: Observation) -> list[str]:
    """The names of the users that the events are for."""
    return sorted({json.loads(data)["for"] for data in observation.events})
