"""The picture of one moment as plain data, for the page and for recordings: facts in, JSON out, no process."""

from collections.abc import Mapping, Sequence
from typing import Any

from offload_lab.inspect.snapshot import Connection, Worker

from .client import Client
from .counters import Counters
from .sentence import Held, Sentence, sentence
from .watcher import Look

Json = dict[str, Any]
NAMED = 24  # tokens at one place; of more there is only the count
QUEUE, ELSEWHERE = "queue", "elsewhere"


def side_frame(look: Look, counters: Counters, clients: Mapping[int, Client], at: float) -> Json:
    """`clients`: by the port of their end; `at`: `time.monotonic` of the look."""
    front = look.snapshot.front
    places: dict[str, list[Connection]] = {}
    for connection in look.snapshot.connections:
        places.setdefault(place(connection, look), []).append(connection)
    busy_s = {pid: at - since for pid, since in counters.busy_since.items()}
    down = [backend.name for backend in look.backends if not backend.pid]
    told = bool(look.written) or not front.workers
    line = sentence(front, busy_s, held(look, places, clients), down, len(places.get(QUEUE, ())))
    return {
        **said_json(line),
        "queue": {**tokens(places.get(QUEUE, ()), clients), "room": front.queue_room},
        "workers": [worker_frame(worker, places, clients, counters, busy_s) for worker in front.workers],
        "backends": [
            {
                "name": backend.name,
                "pid": backend.pid,
                "under_way": backend.under_way,
                "cores": backend.cores,
                **tokens(places.get(backend.name, ()), clients),
            }
            for backend in look.backends
        ],
        "held": sum(connection.accepted for connection in look.snapshot.connections),
        "offloaded": sum(worker.offloaded for worker in front.workers),
        "worker_bytes": counters.by_workers if told else None,
        "thread_bytes": counters.by_threads if told else None,
    }


def said_json(line: Sentence) -> Json:
    return {"text": line.text, "state": line.state}


def lane_name(tid: int) -> str:
    return f"thread {tid}"


def place(connection: Connection, look: Look) -> str:
    if connection.client in look.passed:
        return look.passed[connection.client]
    worker = next((worker for worker in look.snapshot.front.workers if worker.pid == connection.pid), None)
    if worker is None:
        return ELSEWHERE if connection.accepted else QUEUE
    if connection.tid in (*worker.offload_tids, *worker.like_offload_tids):
        return lane_name(connection.tid or 0)
    if connection.tid is None and worker.offload_tids and not worker.busy:
        return lane_name(worker.offload_tids[0])  # on its way from the worker: no thread waits for it yet
    return f"worker {worker.pid}"


def worker_frame(
    worker: Worker,
    places: Mapping[str, Sequence[Connection]],
    clients: Mapping[int, Client],
    counters: Counters,
    busy_s: Mapping[int, float],
) -> Json:
    lanes = [
        {"number": number, "tid": tid, "rate": rate(counters, tid), **tokens(places.get(lane_name(tid), ()), clients)}
        for number, tid in enumerate((*worker.offload_tids, *worker.like_offload_tids), 1)
    ]
    return {
        "pid": worker.pid,
        "busy": worker.busy,
        "busy_s": round(busy_s.get(worker.pid, 0.0), 1),
        "request": " ".join([worker.requests[0].method, worker.requests[0].path]) if worker.requests else "",
        "rate": rate(counters, worker.pid),
        **tokens(places.get(f"worker {worker.pid}", ()), clients),
        "lanes": lanes,
    }


def rate(counters: Counters, tid: int) -> int:
    return round(counters.rates.get(tid, 0.0))


def held(look: Look, places: Mapping[str, Sequence[Connection]], clients: Mapping[int, Client]) -> list[Held]:
    lanes = [
        (f"Offload thread {number}", lane_name(tid))
        for worker in look.snapshot.front.workers
        for number, tid in enumerate((*worker.offload_tids, *worker.like_offload_tids), 1)
    ]
    return [
        *(Held(name, kinds_at(places.get(where, ()), clients)) for name, where in lanes),
        *(
            Held(
                f"The backend {backend.name}",
                kinds_at(places.get(backend.name, ()), clients),
                " on sockets passed to it",
            )
            for backend in look.backends
        ),
    ]


def kinds_at(connections: Sequence[Connection], clients: Mapping[int, Client]) -> list[str]:
    return [client.kind if (client := client_of(connection, clients)) else "" for connection in connections]


def client_of(connection: Connection, clients: Mapping[int, Client]) -> Client | None:
    port = connection.client.rpartition(":")[2]
    return clients.get(int(port)) if port.isdigit() else None


def tokens(connections: Sequence[Connection], clients: Mapping[int, Client]) -> Json:
    """How many there are, how many of them have left unnoticed, and the first ones by name."""
    named = [token(connection, client_of(connection, clients)) for connection in connections]
    named.sort(key=lambda row: (row[1], len(row[0]), row[0]))
    return {"n": len(named), "left": sum(row[2] for row in named), "tokens": named[:NAMED]}


def token(connection: Connection, client: Client | None) -> tuple[str, str, int]:
    """Its name, its kind, and whether it has closed its side."""
    if client is None:
        return connection.client, "other", int(connection.client_closed)
    name, kind = (f"B{client.number}", "bystander") if client.bystander else (client.name, client.kind)
    return name, kind, int(connection.client_closed)
