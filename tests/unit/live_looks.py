"""Made looks of a front, for the tests of the live view."""

from offload_lab.inspect.snapshot import Connection, Request, Server, Snapshot, Wait, Worker
from offload_lab.live.client import Client
from offload_lab.live.counters import Counters
from offload_lab.live.frame import side_frame
from offload_lab.live.watcher import Look

IDLE = Worker(10, busy=False, offload_tids=(11, 12), offloaded=3)
STUCK = Worker(10, busy=True, wait=Wait("read", "backend"), requests=(Request("GET", "/subscribe", 3),))


def front(*workers, **options):
    return Server("front", "http://127.0.0.1:9090", workers, **options)


def connection(port, tid, **options):
    return Connection(f"127.0.0.1:{port}", 10, tid, accepted=True, **options)


def client(port, kind="stream", **options):
    return Client(port, kind, began=0.0, unsent=b"", port=port, **options)


def look(*connections, worker=IDLE, **options):
    return Look(Snapshot("", "", (front(worker, routes_offload=True),), connections), **options)


def frame_of(seen, *clients, at=10.0):
    counters = Counters()
    counters.update(seen, at)
    return side_frame(seen, counters, {reader.port: reader for reader in clients}, at)
