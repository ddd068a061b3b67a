"""A snapshot as sentences."""

from collections.abc import Iterator

from .snapshot import ENDED, Connection, Server, Snapshot, Wait, Worker

NAMED = 3  # clients named in a sentence; the others are counted
DOING = {
    ("read", "client"): "reading from the client",
    ("write", "client"): "sending to the client",
    ("read", "backend"): "reading from the backend",
    ("write", "backend"): "sending to the backend",
}
OWN_CODE = "running the app's own code"
UNKNOWN = "which of its threads are offload threads is not known"
UNKNOWN_NUMBER = "how many of these it has is not known: " + UNKNOWN


def describe(snapshot: Snapshot) -> list[str]:
    """Sentences about the front's workers, then the clients, then the backends."""
    front = snapshot.front
    name = f"{snapshot.step} {snapshot.variant}: the front {front.name}" if snapshot.step else front.name
    return [
        f"{name} listens on {addresses(front)}.",
        *describe_unknown(front),
        *(describe_worker(worker, front, snapshot.connections) for worker in front.workers),
        *describe_clients(snapshot),
        *(line for server in snapshot.servers[:-1] for line in describe_backend(server)),
    ]


def addresses(server: Server) -> str:
    names = [listener.name for listener in server.listeners if not server.address.endswith(listener.name)]
    return " and ".join([server.address or "no socket", *names])


def describe_unknown(front: Server) -> Iterator[str]:
    """What is not known of the front, once for all its workers."""
    reasons = dict.fromkeys(worker.unseen for worker in front.workers if worker.unseen not in ("", ENDED))
    for reason in reasons:
        yield f"what its workers wait for and which thread holds which connection is not known: {reason}."
    if front.routes_offload is None:
        yield "its configuration is not known, so neither are its routes and the number of its offload threads."


def describe_worker(worker: Worker, front: Server, connections: tuple[Connection, ...]) -> str:
    if worker.unseen == ENDED:
        return f"worker {worker.pid}: {ENDED}."
    if front.in_greenlets:
        under_way = count(len(worker.requests), "request")
        return f"worker {worker.pid} has {under_way} under way in one thread{longest(worker)}."
    if not worker.busy:
        return f"worker {worker.pid} is idle: the next request is answered at once."
    if worker.cores > 1:
        under_way = count(len(worker.requests), "request")
        return f"worker {worker.pid} has {under_way} under way, of at most {worker.cores}{longest(worker)}."
    since = f" for {worker.requests[0].since_s} s" if worker.requests else ""
    about = [f"{request.method} {request.path}" for request in worker.requests[:1]]
    about += [f"client {connection.client}" for connection in connections if holds_itself(worker, connection)]
    what = f" ({', '.join(about[:2])})" if about else ""
    if worker.unseen:
        return f"worker {worker.pid} has been busy{since}{what}."
    return f"worker {worker.pid} has been {doing(worker.wait)}{since}{what}{why(worker, front)}."


def holds_itself(worker: Worker, connection: Connection) -> bool:
    return connection.pid == worker.pid and (connection.tid == worker.pid or not worker.may_offload)


def offloaded(connection: Connection, worker: Worker) -> bool:
    return connection.tid in worker.offload_tids


def doing(wait: Wait | None) -> str:
    return DOING.get((wait.verb, wait.end), OWN_CODE) if wait else OWN_CODE


def why(worker: Worker, front: Server) -> str:
    """Why the worker is busy itself. An app that runs for a moment before it authorises needs no reason."""
    waits_for_end = doing(worker.wait) != OWN_CODE
    if worker.threads_unknown and not worker.like_offload_tids:
        return f"; {UNKNOWN}"
    if not worker.offload_tids and not worker.like_offload_tids:
        return " because no offload thread exists"
    if front.routes_offload is None:
        return "; whether a route offloads is not known"
    if not front.routes_offload:
        return " because no route offloads: its offload threads get only files, not what the app sends itself"
    if waits_for_end and worker.wait and worker.wait.end == "backend":
        return " because its offload threads refused: their queue was full, and then uWSGI proxies in the worker"
    return "" if waits_for_end else "; only its response can offload the connection"


def describe_clients(snapshot: Snapshot) -> Iterator[str]:
    if not snapshot.connections:
        reason = next((worker.unseen for worker in snapshot.front.workers if worker.unseen not in ("", ENDED)), "")
        yield f"which clients are connected is not known: {reason}." if reason else "no client is connected."
    groups: dict[str, list[Connection]] = {}
    for connection in snapshot.connections:
        groups.setdefault(place(connection, snapshot.front), []).append(connection)
    for where, group in groups.items():
        gone = [held for held in group if held.client_closed]
        yield f"{name_clients(group)}: {where}."
        if gone:
            subject = (
                "it has" if len(group) == 1 else f"{len(gone)} of them have" if len(gone) > 1 else "one of them has"
            )
            yield f"  {subject} closed, and the server has not noticed: only sending shows that."


def place(connection: Connection, front: Server) -> str:
    worker = next((worker for worker in front.workers if worker.pid == connection.pid), None)
    if worker is None and connection.accepted:
        unseen = any(worker.unseen for worker in front.workers)
        return "accepted; the process that holds it is not known" if unseen else "held by a process that is no worker"
    if worker is None:
        room = f" (room for {front.queue_room})" if front.queue_room else ""
        return f"waiting in the listen queue{room}, {waits_for(front)}"
    if offloaded(connection, worker) and connection.tid:
        number = worker.offload_tids.index(connection.tid) + 1
        return f"held by offload thread {number} of worker {worker.pid}; {state(worker, front)}"
    if front.in_greenlets:
        return f"held by a greenlet of worker {worker.pid}"
    if worker.threads_unknown and connection.tid != worker.pid:
        thread = f"thread {connection.tid}" if connection.tid else "a thread that is not known"
        if connection.tid in worker.like_offload_tids:
            return f"held by {thread} of worker {worker.pid}, which waits as offload threads do; {UNKNOWN_NUMBER}"
        return f"held by {thread} of worker {worker.pid}: perhaps an offload thread; {UNKNOWN}"
    if connection.tid is None and worker.offload_tids:
        if worker.busy:
            return f"held by worker {worker.pid} or one of its offload threads: which is not known"
        return f"held by an offload thread of worker {worker.pid}; the worker is idle"
    if worker.cores > 1:
        return f"held by worker {worker.pid} itself, which has {worker.cores} threads or greenlets for requests"
    return f"held by worker {worker.pid} itself, which serves nothing else meanwhile"


def state(worker: Worker, front: Server) -> str:
    """The worker's state, beside its offload threads'."""
    return "the worker is busy with another request" if worker.busy and not front.in_greenlets else "the worker is idle"


def waits_for(front: Server) -> str:
    busy = [worker.pid for worker in front.workers if worker.busy]
    if front.in_greenlets or not busy or len(busy) < len(front.workers):
        return "for a worker to accept it"
    return "since " + (f"worker {busy[0]} is" if len(busy) == 1 else "all workers are") + " busy"


def name_clients(group: list[Connection]) -> str:
    if len(group) == 1:
        return f"client {group[0].client}"
    names = list(dict.fromkeys(connection.client for connection in group))
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(group)} clients ({', '.join(names[:NAMED])}{rest})"


def describe_backend(server: Server) -> Iterator[str]:
    for worker in server.workers:
        under_way = count(len(worker.requests), "request")
        most = f" of at most {worker.cores}" if server.in_greenlets else ""
        yield f"the backend {server.name} (worker {worker.pid}) serves {under_way}{most}{longest(worker)}."


def longest(worker: Worker) -> str:
    if not worker.requests:
        return ""
    oldest = max(worker.requests, key=lambda request: request.since_s)
    return f", the longest {oldest.method} {oldest.path} for {oldest.since_s} s"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
