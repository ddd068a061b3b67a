"""Snapshots as Prometheus text: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from .snapshot import Connection, Server, Snapshot, Worker

LONG_S = 1  # a request that is under way for so long is not answered in passing
PREFIX = "uwsgi_offload_"
HELP = {
    "up": ("gauge", "1 if the stats server answered."),
    "streams": ("gauge", "Client connections that are held now, by worker and thread ('unknown' where not known)."),
    "requests_total": ("counter", "Requests that were offloaded since the worker was spawned."),
    "listen_queue": ("gauge", "Connections that wait to be accepted; of TCP sockets only."),
    "listen_queue_room": ("gauge", "Connections that may wait to be accepted."),
    "workers_carrying": (
        "gauge", f"Workers that have had a request under way by themselves for {LONG_S} s or longer.",
    ),
}  # fmt: skip
Labels = Mapping[str, str]
Sample = tuple[str, Labels, int]


def metrics(answers: Mapping[str, Snapshot | None]) -> str:
    """All samples, by the server's address; None where it did not answer. A value that is not known is left out."""
    found = [sample for name, snapshot in answers.items() for sample in samples(name, snapshot)]
    lines = []
    for name, (kind, text) in HELP.items():
        mine = [f"{PREFIX}{name}{{{label_text(labels)}}} {value}" for key, labels, value in found if key == name]
        if mine:
            lines += [f"# HELP {PREFIX}{name} {text}", f"# TYPE {PREFIX}{name} {kind}", *mine]
    return "".join(f"{line}\n" for line in lines)


def samples(name: str, snapshot: Snapshot | None) -> Iterable[Sample]:
    server: Labels = {"server": name}
    yield "up", server, int(snapshot is not None)
    if snapshot is None:
        return
    front = snapshot.front
    for worker in front.workers:
        yield "requests_total", {**server, "worker": str(worker.number)}, worker.offloaded
    if not any(worker.unseen for worker in front.workers):
        for (number, thread), held in streams(front, snapshot.connections).items():
            yield "streams", {**server, "worker": number, "thread": thread}, held
    for listener in front.listeners:
        if listener.waiting is not None:
            yield "listen_queue", {**server, "socket": listener.name}, listener.waiting
            yield "listen_queue_room", {**server, "socket": listener.name}, listener.room
    if front.in_greenlets is False:
        yield "workers_carrying", server, sum(serves_long(worker) for worker in front.workers)


def streams(front: Server, connections: Sequence[Connection]) -> Counter[tuple[str, str]]:
    """By worker and thread, 0 for an offload thread that holds none."""
    held: Counter[tuple[str, str]] = Counter()
    workers = {worker.pid: worker for worker in front.workers}
    for worker in front.workers:
        held.update({(str(worker.number), f"offload {index + 1}"): 0 for index in range(len(worker.offload_tids))})
    for connection in connections:
        if connection.pid is not None:
            worker = workers[connection.pid]
            held[str(worker.number), thread_of(connection, worker)] += 1
    return held


def thread_of(connection: Connection, worker: Worker) -> str:
    tids = worker.offload_tids or worker.like_offload_tids
    if connection.tid in tids:
        return f"offload {tids.index(connection.tid) + 1}"
    if connection.tid == worker.pid or not worker.may_offload:
        return "worker"
    return "unknown"


def serves_long(worker: Worker) -> bool:
    return any(request.since_s >= LONG_S for request in worker.requests)


def label_text(labels: Labels) -> str:
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels.items())


def escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
