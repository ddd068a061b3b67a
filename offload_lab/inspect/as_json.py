"""A snapshot as JSON. docs/explain.md lists the fields; what is not known is null."""

from typing import Any

from .snapshot import Connection, Request, Server, Snapshot, Worker

Json = dict[str, Any]


def as_json(snapshot: Snapshot) -> Json:
    return {
        "step": snapshot.step or None,
        "variant": snapshot.variant or None,
        "servers": [server_to_json(server) for server in snapshot.servers],
        "connections": [connection_to_json(connection, snapshot.front) for connection in snapshot.connections],
    }


def server_to_json(server: Server) -> Json:
    return {
        "name": server.name,
        "address": server.address,
        "sockets": [
            {"name": listener.name, "protocol": listener.protocol, "waiting": listener.waiting, "room": listener.room}
            for listener in server.listeners
        ],
        "routes_offload": server.routes_offload,
        "greenlets": server.in_greenlets,
        "workers": [worker_to_json(worker) for worker in server.workers],
    }


def worker_to_json(worker: Worker) -> Json:
    return {
        "number": worker.number,
        "pid": worker.pid,
        "busy": worker.busy,
        "cores": worker.cores,
        "offloaded": worker.offloaded,
        "requests": [request_to_json(request) for request in worker.requests],
        "offload_threads": None if worker.threads_unknown else list(worker.offload_tids),
        "like_offload_threads": list(worker.like_offload_tids),
        "waits": {"to": worker.wait.verb, "other_end": worker.wait.end} if worker.wait else None,
        "not_known_because": worker.unseen or None,
    }


def request_to_json(request: Request) -> Json:
    return {"method": request.method, "path": request.path, "since_s": request.since_s}


def connection_to_json(connection: Connection, front: Server) -> Json:
    return {
        "client": connection.client,
        "accepted": connection.accepted,
        "pid": connection.pid,
        "thread": connection.tid,
        "offloaded": offloaded(connection, front),
        "client_closed": connection.client_closed,
    }


def offloaded(connection: Connection, front: Server) -> bool | None:
    """Whether an offload thread holds it; None where that is not known."""
    worker = next((worker for worker in front.workers if worker.pid == connection.pid), None)
    if worker is None:
        return None if connection.accepted else False
    if connection.tid in (*worker.offload_tids, *worker.like_offload_tids):
        return True
    if worker.threads_unknown:
        return False if connection.tid == worker.pid else None
    return False if connection.tid or not worker.offload_tids else None
