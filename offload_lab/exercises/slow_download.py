"""A slow client downloads a file: which thread sends it, and at what cost? Each rule returns a sentence, or None."""

import socket
from contextlib import suppress
from dataclasses import dataclass

import psutil

from offload_lab.clients import SlowReader
from offload_lab.inspect import Connection, Snapshot, Worker, take_snapshot
from offload_lab.measure.scenarios import memory_mib
from offload_lab.process.deadlines import LOOPBACK
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.uwsgi.logs import last_error

from .connection_owner import open_file_position, wait_for_owner, worker_of

RATE_MIB_S = 1.0  # slow enough that the download outlasts the observation
MOST = 0.8  # of the file in the worker's memory: that is all of it
ANSWER_S = 30.0
SPUN_S = 5.0  # of CPU time, without one byte of an answer
GZIP = b"\x1f\x8b"  # RFC 1952


@dataclass(frozen=True)
class Seen:
    """What was observed of one slow download.

    `held`: the client's connection, None once the server has closed it. `status`: empty if no answer came. `promised`,
    `arrived`: bytes of the file. `memory_mib`: of the largest worker. `raised`: the app's last exception. `first`: the
    first two bytes of the body. `position`: of the app's open file, in bytes. `spins`: a worker computes without an
    answer. `child`: a program that the app started.
    """

    snapshot: Snapshot
    path: str
    held: Connection | None
    status: str
    promised: int
    arrived: int
    memory_mib: float
    raised: str
    first: bytes
    position: int
    spins: bool
    child: str

    @property
    def worker(self) -> Worker | None:
        """The worker that has the client's connection."""
        return worker_of(self.snapshot, self.held)

    @property
    def sent_by_worker(self) -> bool:
        return bool(self.worker and self.held and self.worker.busy and self.worker.is_its_own(self.held.tid))

    @property
    def in_memory(self) -> bool:
        return self.promised > 0 and self.memory_mib * 2**20 > MOST * self.promised


def observe(stage: Stage) -> Seen:
    """Download the step's path slowly, and take a snapshot meanwhile."""
    status, promised, arrived, peak_mib, position = "", 0, 0, 0.0, 0
    snapshot, held = None, None
    with suppress(OSError), slow_reader(stage) as reader:
        status, promised = parse_headers(reader.head)
        snapshot, held = wait_for_owner(stage, reader)
        peak_mib = max(memory_mib(worker.pid) for worker in snapshot.front.workers)
        arrived = reader.received - len(reader.head) - len("\r\n\r\n")
        position = max(open_file_position(worker.pid, stage.run) or 0 for worker in snapshot.front.workers)
    snapshot = snapshot or take_snapshot(stage.step, stage.variant, stage.run)
    workers = [psutil.Process(worker.pid) for worker in snapshot.front.workers]
    return Seen(
        snapshot=snapshot,
        path=stage.step.path,
        held=held,
        status=status,
        promised=promised,
        arrived=arrived,
        memory_mib=peak_mib,
        raised=last_error(stage.front.log_tail(60)),
        first=first_bytes(stage) if status else b"",
        position=position,
        spins=not status and any(worker.cpu_times().user > SPUN_S for worker in workers),
        child=next((child.name() for worker in workers for child in worker.children()), ""),
    )


def slow_reader(stage: Stage) -> SlowReader:
    """A client that is answered.

    Raises: OSError where none is; at once where a worker spins, and would do so until it is killed.
    """
    reader = SlowReader(stage.port, stage.step.path, RATE_MIB_S)
    try:
        wait_for(lambda: reader.is_answered() or spins(stage), ANSWER_S, "an answer")
        if not reader.is_answered():
            raise TimeoutError("a worker computes, and does not answer")
    except BaseException:
        reader.close()
        raise
    return reader


def spins(stage: Stage) -> bool:
    with suppress(psutil.NoSuchProcess):
        return any(psutil.Process(worker.pid).cpu_times().user > SPUN_S for worker in stage.front.workers())
    return False


def first_bytes(stage: Stage) -> bytes:
    """The first two bytes of the body, or fewer if it is shorter."""
    body = b""
    with suppress(OSError), socket.create_connection((LOOPBACK, stage.port), timeout=ANSWER_S) as connection:
        connection.sendall(f"GET {stage.step.path} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while len(body) < len(GZIP) and (chunk := connection.recv(4096)):
            answer += chunk
            body = answer.partition(b"\r\n\r\n")[2]
    return body[: len(GZIP)]


def parse_headers(head: bytes) -> tuple[str, int]:
    """The status without the HTTP version, and the Content-Length, 0 if there is none."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "0")
    return first.partition(" ")[2], int(length) if length.isdecimal() else 0


# --- rules


def worker_sends(seen: Seen) -> str | None:
    worker = seen.worker
    if not (worker and seen.sent_by_worker) or worker.may_offload or seen.in_memory:
        return None
    if worker.cores > 1 or len(seen.snapshot.front.workers) > 1:
        return None
    return (
        f"worker {worker.pid} is busy: its only thread sends GET {seen.path} to the client, because it has no offload"
        " thread. Other clients wait in the listen queue until the download ends."
    )


def another_python_thread(seen: Seen) -> str | None:
    worker = seen.worker
    if not (worker and seen.sent_by_worker) or worker.may_offload or worker.cores == 1:
        return None
    return (
        f"worker {worker.pid} has {worker.cores} threads that run the app, and one of them sends GET {seen.path}."
        f" {worker.cores} slow clients keep all of them busy, and the server no longer answers. No offload thread was"
        " started."
    )


def another_worker(seen: Seen) -> str | None:
    workers = seen.snapshot.front.workers
    if not (seen.worker and seen.sent_by_worker) or seen.worker.may_offload or len(workers) == 1:
        return None
    return (
        f"there are {len(workers)} workers, {', '.join(str(other.pid) for other in workers)}, and {seen.worker.pid}"
        f" sends GET {seen.path} by itself. {len(workers)} slow clients keep all of them busy, and the server no longer"
        " answers. No offload thread was started."
    )


def whole_file_in_memory(seen: Seen) -> str | None:
    if not (seen.worker and seen.sent_by_worker and seen.in_memory):
        return None
    return (
        f"worker {seen.worker.pid} holds {seen.memory_mib:.0f} MiB of memory to send a file of"
        f" {seen.promised / 2**20:.0f} MiB: the app, or what wraps its response, has read all of it, and the worker"
        " sends it from there."
        f"{offload_threads_idle(seen.worker)}"
    )


def python_sends(seen: Seen) -> str | None:
    worker = seen.worker
    if not (worker and seen.sent_by_worker and worker.may_offload) or seen.in_memory:
        return None
    return (
        f"worker {worker.pid} is busy with GET {seen.path}: the app, or what wraps its response, makes the bytes"
        f" piece by piece, so only the worker's own thread can send them.{offload_threads_idle(worker)}"
    )


def offload_threads_idle(worker: Worker) -> str:
    number = len(worker.offload_tids)
    if not number:
        return ""
    threads = "offload thread is" if number == 1 else "offload threads are"
    return f" Its {number} {threads} idle: they can only send what needs no Python, and got nothing."


def app_raises(seen: Seen) -> str | None:
    if seen.arrived or not seen.raised:
        return None
    return (
        f"the client got {seen.status or 'an empty reply'!r} and {seen.arrived} bytes of the file: the app ended with"
        f" {seen.raised}"
    )


def nothing_to_send(seen: Seen) -> str | None:
    if seen.arrived or seen.raised or not seen.promised or seen.child:
        return None
    return (
        f"the client got {seen.status!r} and a Content-Length of {seen.promised} bytes, and the connection was closed"
        f" after {seen.arrived} of them: the app returned nothing that uWSGI could send. That is an empty iterable, or"
        " a file that was closed by then: uWSGI sends after the app's function has returned."
    )


def pipe_has_no_length(seen: Seen) -> str | None:
    if seen.arrived or seen.raised or not seen.promised or not seen.child:
        return None
    return (
        f"the client got {seen.status!r} and no body: the app started {seen.child!r} and gave its pipe to"
        " wsgi.file_wrapper. uWSGI sends as many bytes as the file is long, and a pipe has no length."
    )


def text_spins(seen: Seen) -> str | None:
    if not seen.spins:
        return None
    return (
        f"no answer came, and a worker has computed for more than {SPUN_S:.0f} s, in the app or after it:"
        " wsgi.file_wrapper does so without end with a file of text, since it reads until empty bytes come. Meanwhile"
        " the worker serves no other client."
    )


def packed_bytes(seen: Seen) -> str | None:
    if seen.first != GZIP:
        return None
    return (
        f"the body begins with {seen.first.hex(' ')}, as a gzip file does: wsgi.file_wrapper takes the descriptor of"
        " what it is given, and that of gzip.open() is the packed file's."
    )


def seek_ignored(seen: Seen) -> str | None:
    worker = seen.worker
    if not (worker and seen.held and seen.held.tid in worker.offload_tids and seen.position):
        return None
    return (
        f"the app's file stands at byte {seen.position}, and the client gets it from byte 0 on: wsgi.file_wrapper takes"
        " the descriptor, and no seek() or read() before it matters."
    )


RULES = (
    worker_sends,
    another_python_thread,
    another_worker,
    whole_file_in_memory,
    python_sends,
    app_raises,
    nothing_to_send,
    pipe_has_no_length,
    text_spins,
    packed_bytes,
    seek_ignored,
)
UNTOLD = {seek_ignored: "at which byte the app's open file stands"}
