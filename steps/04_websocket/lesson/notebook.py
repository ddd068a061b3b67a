"""What the notebook about WebSockets needs beside `offload_lab.notebook`: a board with its clients."""

import json
import socket
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psutil

from offload_lab.clients import Probes
from offload_lab.clients.raw import RawClient
from offload_lab.clients.session import Session
from offload_lab.clients.websocket import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    WebSocketClient,
    WebSocketPool,
    frame,
    upgrade_request,
)
from offload_lab.measure.model import Recording, Transfer
from offload_lab.measure.scenarios import AFTER_S, BEFORE_S, Watch
from offload_lab.process.deadlines import LOOPBACK
from offload_lab.stages.site.users import DEMO_USERS
from offload_lab.stages.stage import Stage
from offload_lab.stages.step import Step

LEFT_S = 0.6  # between the clients' disconnect and the end of the backend
PATIENCE_S = 1.0  # of a bystander that may get no response
CONNECT_S = 30.0


class Board(Stage):
    """A variant of step 04, or of that step `altered`, and the cookies of its two users."""

    def __init__(self, variant: str, step: str | Step = "04_websocket", **options: Any) -> None:
        super().__init__(step, variant, **options)
        self._cookies: dict[str, str] = {}

    def cookie(self, name: str = "ada") -> str:
        """The Cookie header of `name`, who logs in with the first call."""
        if name not in self._cookies:
            client = Session(self.port)
            client.log_in(name, DEMO_USERS[name])
            self._cookies[name] = client.cookie
        return self._cookies[name]

    def connect(self, name: str = "ada") -> WebSocketClient:
        return WebSocketClient(self.port, headers={"Cookie": self.cookie(name)})


def is_read(client: WebSocketClient) -> None:
    """Return once the backend has read all that `client` sent: it answers a ping that was sent last."""
    client.send(frame(PING))
    while (received := client.receive()) is not None and received.opcode != PONG:
        pass


def echo_ms(client: WebSocketClient, characters: int, times: int = 9) -> float:
    """The median time until `client` hears its own message of so many characters, in ms."""
    waits = []
    for _ in range(times):
        start = time.perf_counter()
        client.send_text("*" * characters)
        while (received := client.receive()) is not None and b'"text"' not in received.payload:
            pass  # the clock
        waits.append((time.perf_counter() - start) * 1000)
    return statistics.median(waits)


def what_comes(client: WebSocketClient, within_s: float = 2.0) -> str:
    """In words, the first message or close that `client` gets and that is not the clock."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if (received := client.receive()) is None:
            return "the connection breaks off"
        if received.opcode == CLOSE:
            return f"closed with {received.code} {received.payload[2:].decode()}".strip()
        if received.opcode == TEXT and "text" in (news := json.loads(received.payload)):
            return f"{news['user']} says {news['text']!r}"
    return "nothing but the clock"


class Talkers(WebSocketPool):
    """Many clients that also write."""

    def say(self, place: int, text: str) -> None:
        self.clients[place].send_text(text)


@dataclass
class Load:
    """What a front and its backend did for so many `clients`: messages that they wrote and got a second, how many were
    disconnected, and each bystander's wait in ms (infinite: not answered while the clients were connected)."""

    variant: str
    clients: int
    wrote_per_s: float
    received_per_s: float
    cut_off: int
    waits_ms: list[float]


def load(board: Board, clients: int, watch_s: float = 1.5) -> Load:
    """Every client writes once a second, in turn, and gets all messages, the clock included."""
    with Talkers(board.port, clients, {"Cookie": board.cookie()}) as crowd:
        wrote, before, start = 0, crowd.messages, time.monotonic()
        with Probes(board.port, every_s=0.02) as bystanders:
            while (passed := time.monotonic() - start) < watch_s:
                if wrote < passed * clients:
                    crowd.say(wrote % clients, f"message {wrote}")
                    wrote += 1
                else:
                    time.sleep(0.001)
        received, took_s = crowd.messages - before, time.monotonic() - start
        return Load(board.variant.name, clients, wrote / took_s, received / took_s, crowd.lost, in_ms(bystanders))


def load_without_offload_threads(board: Board, watch_s: float = 1.0) -> Load:
    """One client, where no response is certain: it does not wait for the handshake."""
    with RawClient(board.port, upgrade_request(board.port, "/ws", {"Cookie": board.cookie()})) as client:
        with Probes(board.port, every_s=0.05, timeout_s=PATIENCE_S) as bystanders:
            client.read_for(watch_s)
    messages = sum(received.opcode == TEXT for received in client.frames)
    return Load(board.variant.name, 1, 0.0, messages / watch_s, 0, in_ms(bystanders))


def in_ms(bystanders: Probes) -> list[float]:
    return [
        float("inf") if probe.answered is None else 1000 * (probe.answered - probe.sent) for probe in bystanders.all
    ]


def fill(sizes: Sequence[int], done: Callable[[float], None]) -> list[Load]:
    """`blocking` with one client, then `offload` with each number of them. `done` gets the share done, 0 to 1."""
    with Board("blocking") as board:
        loads = [load_without_offload_threads(board)]
    with Board("offload") as board:
        for clients in sizes:
            done(len(loads) / (len(sizes) + 1))
            loads.append(load(board, clients))
    return loads


def record_boards(clients: Mapping[str, int], done: Callable[[float], None], open_s: float = 2.0) -> list[Recording]:
    """Variants at the same time, each with so many clients that only listen, and disconnect.

    At the end each backend is killed, since nothing else frees a worker that proxies.
    """

    def record(variant: str) -> Recording:
        with Board(variant) as board:
            return record_open(board, clients[variant], open_s, done)

    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(record, clients))


def record_open(board: Board, count: int, open_s: float, done: Callable[[float], None]) -> Recording:
    cookie = board.cookie()
    with ExitStack() as exits, Watch(board, BEFORE_S + open_s + LEFT_S + AFTER_S, done) as watch:
        watch.wait(BEFORE_S)
        began = watch.clock()
        for _ in range(count):  # no wait for a response: without an offload thread only the first is ever served
            client = exits.enter_context(socket.create_connection((LOOPBACK, board.port), CONNECT_S))
            client.sendall(upgrade_request(board.port, "/ws", {"Cookie": cookie}))
            watch.sampler.client_port = watch.sampler.client_port or client.getsockname()[1]
        watch.wait(began + open_s)
        watch.bystanders.close()
        hurried = watch.clock()
        exits.close()
        watch.wait(hurried + LEFT_S)  # long enough to see that their disconnect frees no worker
        for worker in board.process("ws").workers():
            psutil.Process(worker.pid).kill()
        watch.wait(hurried + LEFT_S + AFTER_S)
    row = Transfer("/ws", 0.0, began, hurried, hurried, 0.0, kind="WebSocket", count=count)
    return watch.recording(row)
