"""What is done to a stage while its clients are connected, and what became of each of them."""

import json
import math
import os
import signal
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import redis

from offload_lab.clients.session import TOKEN
from offload_lab.clients.websocket import WebSocketClient
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.uwsgi.server import Uwsgi

from .trial import TIMEOUT_S, Connection, Trial

REDIS_AWAY_S = 3


@dataclass(frozen=True)
class Outcome:
    """`how` is "stays", "back" or "gone"; `code` is the WebSocket's close code.

    Counted from the moment when the stage is whole again: `in_vain`, attempts that led to no event, and `back_s`.
    `ending`: the last reports before the connection ended, and that of its end.
    """

    how: str
    code: int | None
    lost: int
    twice: int
    in_vain: int
    back_s: float
    ending: list[dict]


# --- the faults: each returns once what was ended is there again


def kill_workers(processes: Sequence[Uwsgi]) -> None:
    before = {process: pids_of_workers(process) for process in processes}
    for pids in before.values():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    wait_for_other_workers(before)


def pids_of_workers(process: Uwsgi) -> set[int]:
    return {worker.pid for worker in process.workers()}


def wait_for_other_workers(before: dict[Uwsgi, set[int]]) -> None:
    def all_new() -> bool:
        return all(
            process.is_ready() and len(now := pids_of_workers(process)) == len(pids) and not now & pids
            for process, pids in before.items()
        )

    wait_for(all_new, TIMEOUT_S, "new workers")


def stop_and_start(trial: Trial, processes: Sequence[Uwsgi]) -> None:
    """Away until every client has noticed, and has tried in vain to come back."""
    marks = {connection: len(connection.reports) for connection in trial.connections}
    for process in processes:
        process.ask_to_stop()
    for process in processes:
        process.stop()
    trial.wait_for_all(
        lambda connection: connection.count("closed", "failed", since=marks[connection]) >= 2, "a try to come back"
    )
    for process in processes:
        process.start()
        process.wait_ready(Deadline(TIMEOUT_S))


def reload_front(trial: Trial) -> None:
    front = trial.stage.front
    before = pids_of_workers(front)
    os.kill(front.pid, signal.SIGHUP)
    wait_for_other_workers({front: before})


def reload_nginx(trial: Trial) -> None:
    for proxy in trial.proxies.values():
        proxy.reload(Deadline(TIMEOUT_S))


def take_redis_away(trial: Trial) -> None:
    store = trial.stage.process("store").pid
    with trial.redis() as client:
        pid = client.info()["process_id"]
        os.kill(store, signal.SIGSTOP)  # or it would start another at once
        try:
            os.kill(pid, signal.SIGKILL)
            time.sleep(REDIS_AWAY_S)  # this is the fault, not a wait for anything
        finally:
            os.kill(store, signal.SIGCONT)
        wait_for(lambda: answers(client), TIMEOUT_S, "another Redis")


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False


FAULTS: dict[str, Callable[[Trial], None]] = {
    "backend's worker killed": lambda trial: kill_workers(trial.backends),
    "backend stopped, started": lambda trial: stop_and_start(trial, trial.backends),
    "front's worker killed": lambda trial: kill_workers([trial.stage.front]),
    "front reloaded": reload_front,
    "front stopped, started": lambda trial: stop_and_start(trial, [trial.stage.front]),
    "nginx reloaded": reload_nginx,
    "Redis away for 3 s": take_redis_away,
}
NEEDS_REDIS = "Redis away for 3 s"
ONLY_BEHIND_NGINX = "nginx reloaded"


def faults_of(step: str, route: str = "") -> list[str]:
    """Those that mean something there."""
    return [
        fault
        for fault in FAULTS
        if (fault != NEEDS_REDIS or step in ("06", "08")) and (fault != ONLY_BEHIND_NGINX or route != "direct")
    ]


STAY = ("nginx reloaded", "Redis away for 3 s")  # no connection ends


# --- what became of the clients


class Run:
    """All faults of a step, one after the other, on clients that stay connected throughout."""

    def __init__(self, trial: Trial, step: str) -> None:
        self.trial, self.step = trial, step
        self.outcomes: dict[tuple[str, str, str], Outcome] = {}  # fault, client, route
        self._marker = self._announce(trial.connections)

    def suffer(self, fault: str) -> None:
        trial, before = self.trial, self._marker
        marks = {connection: len(connection.reports) for connection in trial.connections}
        FAULTS[fault](trial)
        wait_for(trial.is_whole, TIMEOUT_S, "answers from front and backends")
        trial.read()
        recovered, places = time.monotonic(), {connection: len(connection.reports) for connection in trial.connections}
        back_s: dict[Connection, float] = {}

        def is_back(connection: Connection) -> bool:
            back = (
                len(connection.events(places[connection])) >= 2
                if fault in STAY
                else connection.has_news_since_opened_after(marks[connection])
            )
            if back:
                back_s.setdefault(connection, time.monotonic() - recovered)
            return back

        trial.wait_for_all(is_back, f"everyone back after: {fault}")
        self._marker = self._announce(list(back_s))
        for connection in trial.connections:
            ends = [
                at
                for at, report in enumerate(connection.reports)
                if at >= marks[connection] and report["is"] == "closed"
            ]
            ending = connection.reports[max(0, ends[0] - 2) : ends[0] + 1] if ends else []
            how = "gone" if connection not in back_s else "back" if ends else "stays"
            lost, twice = self._compare(connection, marks[connection], before) if connection in back_s else (0, 0)
            code = ending[-1].get("code") if ending else None
            in_vain = connection.attempts_in_vain(places[connection])
            outcome = Outcome(how, code, lost, twice, in_vain, back_s.get(connection, math.inf), ending)
            self.outcomes[fault, connection.client, connection.route] = outcome

    def record(self, path: Path) -> None:
        """How soon each client was back, for docs/field-notes.md."""
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps([[*key, asdict(outcome)] for key, outcome in self.outcomes.items()], indent=1))

    def _announce(self, listening: list[Connection]) -> str:
        """Returns once everyone listening has heard it: its id on 06 and 08, its text on 04. 03 has nothing to say."""
        text = str(uuid.uuid4())
        if self.step == "06":
            text = self._publish(text)
        elif self.trial.publisher:
            text = self.trial.publisher.publish()
        elif self.step == "04":
            with WebSocketClient(self.trial.stage.port, headers={"Cookie": self.trial.ada.cookie}) as client:
                client.send_text(text)
        if self.step != "03":
            self.trial.wait_for_all(
                lambda connection: connection not in listening or connection.hears(text), "the announcement"
            )
        return text

    def _publish(self, text: str) -> str:
        ada = self.trial.ada
        form = {"csrfmiddlewaretoken": TOKEN.search(ada.ask("GET", "/").body.decode())[1], "text": text, "token": text}
        answer = ada.ask("POST", "/announce", form=form)
        assert answer.status == 200, answer
        return answer.body.decode().strip()

    def _compare(self, connection: Connection, mark: int, before: str) -> tuple[int, int]:
        """How many events it lost, and how many it had twice."""
        if self.trial.plan.path == "/ws":  # these clients do not ask for what was said meanwhile, as 08's page does
            return 0, sum(self._marker in report["data"] for report in connection.events()) - 1
        if self.step != "03":
            had = [event["id"] for event in connection.events() if event["type"] in ("train", "notice")]
            with self.trial.redis() as client:
                feed = [entry_id for entry_id, _ in client.xrange(self.trial.plan.feed, f"({before}", self._marker)]
            had = had[had.index(before) + 1 : had.index(self._marker) + 1]
            return len(set(feed) - set(had)), len(had) - len(set(had))
        before_fault = connection.events()[: len(connection.events()) - len(connection.events(mark))][-1:]
        numbers = [json.loads(event["data"])["number"] for event in [*before_fault, *connection.events(mark)]]
        steps = [after - first for first, after in pairwise(numbers)]
        return sum(step - 1 for step in steps if step > 1), sum(step < 1 for step in steps)
