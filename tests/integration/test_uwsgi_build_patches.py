"""What each of uwsgi_build/patches fixes, on the patched uWSGI; that the wheel fails is expected, and checked.

The front is step 07's queue_full_broken: one worker, one offload thread. Its backend is the test itself.
"""

import ctypes
import os
import selectors
import socket
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from offload_lab.process.polling import wait_for
from offload_lab.testing import idle_workers, require
from offload_lab.timeouts import scaled

from .conftest import EVENT, HEADERS, TIMEOUT_S, can_read, descriptors, receive, running_front

pytestmark = pytest.mark.full

MORE_THAN_FIT = 250  # requests; the queue of a thread holds fewer
FEW, MANY = 5, 150  # streams
CORES = 1000  # that wait for one place
SEIZE, INTERRUPT, DETACH, SINGLESTEP, SYSCALL = 0x4206, 0x4207, 17, 9, 24  # of ptrace(2)
WALL = 0x40000000  # __WALL of waitpid(2): threads as well

unpatched = pytest.mark.xfail(strict=True, raises=(AssertionError, ConnectionError), reason="what the patch fixes")
stock_fails = pytest.mark.parametrize("uwsgi", ["built", pytest.param("wheel", marks=unpatched)], scope="module")


def ptrace(request, tid):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(request, tid, None, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextmanager
def held(front):
    """The one offload thread, stopped as a debugger does it: it stands for a thread with more work than it can do."""
    [tid] = [int(tid) for tid in os.listdir(f"/proc/{front.pid}/task") if int(tid) != front.pid]
    try:
        ptrace(SEIZE, tid)
    except OSError as error:
        require(False, f"the right to stop a thread with ptrace (here: {error})", "docker run --cap-add SYS_PTRACE …")
    ptrace(INTERRUPT, tid)
    os.waitpid(tid, WALL)
    try:
        yield tid
    finally:
        ptrace(DETACH, tid)


def steps(front, client, backend, kind):
    """What the thread does, step by step, until `client` receives one event: its system call, -1 for none."""
    done = []
    with held(front) as tid:
        backend.sendall(EVENT)
        while not can_read([client]):
            ptrace(kind, tid)
            os.waitpid(tid, WALL)
            done.append(Path(f"/proc/{front.pid}/task/{tid}/syscall").read_text().split()[0])
    assert receive(client, len(EVENT)) == EVENT
    return done


@stock_fails
def test_the_cost_of_an_event_does_not_grow_with_the_streams(uwsgi):
    with running_front(uwsgi) as front:
        streams = [front.open_stream() for _ in range(FEW)]
        least = len(steps(front, *streams[-1], SINGLESTEP))
        streams += [front.open_stream() for _ in range(MANY - FEW)]
        assert len(steps(front, *streams[-1], SINGLESTEP)) - least < MANY - FEW


@stock_fails
def test_an_event_costs_one_read_and_one_write(uwsgi):
    with running_front(uwsgi) as front:
        calls = set(steps(front, *front.open_stream(), SYSCALL))
        assert len(calls) == 3, "one is the wait for the event"


@pytest.mark.parametrize("upstream", [False, True])
def test_what_a_full_buffer_does_not_take_arrives_later_and_whole(upstream):
    with running_front("built") as front:
        client, backend = front.open_stream()
        writer, reader = (client, backend) if upstream else (backend, client)
        data, sent = os.urandom(2**24), 0
        with selectors.DefaultSelector() as selector:
            selector.register(writer, selectors.EVENT_WRITE)
            writer.setblocking(False)
            while selector.select(0.5):  # until every buffer on the way is full
                sent += writer.send(data[sent:])
        assert receive(reader, sent) == data[:sent]
        assert front.open_stream()


@stock_fails
def test_a_request_that_no_thread_can_take_gets_503(uwsgi):
    with running_front(uwsgi, "--socket-timeout", "2") as front:
        with held(front):
            clients = [front.request() for _ in range(MORE_THAN_FIT)]
            wait_for(lambda: front.answer_requests() or can_read(clients), TIMEOUT_S, "any answer")
            assert not front.answered, "the worker must not proxy in place of the thread"
            assert front.answers()
            refused = can_read(clients)
        assert {receive(client)[:12] for client in refused} == {b"HTTP/1.1 503"}
        proxied = MORE_THAN_FIT - len(refused)
        wait_for(lambda: front.answer_requests() == proxied, TIMEOUT_S, "all others")
        assert idle_workers(front.server)[0].offloaded == proxied
        assert front.open_stream()


def test_a_full_queue_is_waited_for():
    with running_front("built", "--socket-timeout", "60") as front:
        with held(front):
            clients = [front.request() for _ in range(MORE_THAN_FIT)]

            def the_worker_waits():
                return front.server.stats()["listen_queue"] == MORE_THAN_FIT - front.server.workers()[0].offloaded - 1

            wait_for(the_worker_waits, TIMEOUT_S, "a full queue")
            assert can_read(clients) == []
        wait_for(lambda: front.answer_requests() == MORE_THAN_FIT, TIMEOUT_S, "all requests at the backend")
        assert front.answers()


def test_no_core_that_waits_for_a_place_is_refused():
    """With gevent all of them are woken for one place."""
    with running_front("built", "--socket-timeout", "60", "--gevent", str(CORES + 9)) as front:
        with held(front):
            clients = [front.request() for _ in range(CORES)]
            wait_for(lambda: front.accept_all() == CORES, TIMEOUT_S, "a connection to the backend for each core")
        wait_for(lambda: front.answer_requests() and len(can_read(clients)) == CORES, TIMEOUT_S, "all answers")
        assert {receive(client, 12) for client in clients} == {b"HTTP/1.1 200"}


OTHER_ACTIONS = {  # that offload: the route, how its store's reply begins, and how the refusal begins
    "/http": ("http:{run}/sse.sock", b"", b"HTTP/1.1 503 "),
    "/cache": (f"cache:key={__file__},name=files", b"", b"HTTP/1.1 503 "),
    "/file": ("fastfile:filename=/proc/self/exe", b"", b"HTTP/1.1 200 "),
    "/redis": ("redis:addr={run}/store,key=ticket", b"$9999\r\none", b"HTTP/1.1 200 "),
    "/memcached": ("memcached:addr={run}/store,key=ticket", b"VALUE ticket 0 9999\r\none", b"HTTP/1.1 200 "),
}
CACHE = ["--cache2", "name=files,items=9", "--load-file-in-cache", f"files {__file__}"]


@pytest.fixture(scope="module")
def overloaded():
    """A front whose thread is stopped, and which has noticed."""
    routes = [word for path, (action, *_) in OTHER_ACTIONS.items() for word in ("--route", f"^{path} {action}")]
    with running_front("built", "--socket-timeout", "2", *CACHE, *routes) as front, held(front):
        clients = [front.request() for _ in range(MORE_THAN_FIT)]
        wait_for(lambda: can_read(clients), TIMEOUT_S, "the first one refused")
        assert front.answers()
        yield front


@pytest.mark.parametrize("path", OTHER_ACTIONS)
def test_no_other_offloading_action_blocks_the_worker(overloaded, path):
    _, reply, refusal = OTHER_ACTIONS[path]
    with socket.socket(socket.AF_UNIX) as store:
        store.settimeout(scaled(TIMEOUT_S))
        store.bind(str(overloaded.run / "store"))
        store.listen()
        client = overloaded.request(path)
        if reply:
            with store.accept()[0] as connection, suppress(BrokenPipeError):  # the worker does not wait for the rest
                connection.sendall(reply)
                wait_for(lambda: can_read([client]), TIMEOUT_S, "the reply's beginning")
                connection.sendall(bytes(9999))
    (overloaded.run / "store").unlink()
    answer = receive(client)  # until the end: the connection is closed
    assert answer.startswith(refusal)
    assert len(answer) < 9999
    assert overloaded.answers()


@stock_fails
def test_a_backend_that_is_down_gives_503(uwsgi):
    with running_front(uwsgi) as front:
        front.listener.close()
        assert receive(front.request()).startswith(b"HTTP/1.1 503 ")
        wait_for(lambda: "(HTTP/1.1 503)" in front.server.log_tail(), TIMEOUT_S, "the same in the log")


@stock_fails
def test_a_backend_that_does_not_accept_gives_503_and_the_worker_waits_once(uwsgi):
    with running_front(uwsgi, "--socket-timeout", "2", listen=0) as front:
        waits, refused, too = front.request(), front.request(), front.request()
        assert receive(refused).startswith(b"HTTP/1.1 503 ")
        assert receive(too).startswith(b"HTTP/1.1 503 ")
        assert front.answers()
        assert front.server.log_tail().count("does not move") == 1
        wait_for(front.answer_requests, TIMEOUT_S, "the first request at the backend")
        assert receive(waits, len(HEADERS)) == HEADERS
        assert front.open_stream()


def test_a_backend_that_does_not_accept_is_waited_for_once_whatever_others_do():
    route = ["--route", "^/dead uwsgi:{run}/dead.sock,0,0"]
    with running_front("built", "--socket-timeout", "2", *route) as front, socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(front.run / "dead.sock"))
        dead.listen(0)
        front.request("/dead")  # the one place
        for _ in range(3):
            assert receive(front.request("/dead")).startswith(b"HTTP/1.1 503 ")
            assert front.open_stream()
        assert front.server.log_tail().count("does not move") == 1
        dead.settimeout(scaled(TIMEOUT_S))
        dead.accept()[0].close()
        client = front.request("/dead")
        with dead.accept()[0] as backend:
            backend.sendall(HEADERS)
            assert receive(client, len(HEADERS)) == HEADERS


def test_more_requests_than_the_backends_listen_queue_holds_are_waited_for():
    with running_front("built", "--socket-timeout", "60", listen=0) as front:
        clients = [front.request() for _ in range(9)]
        wait_for(lambda: front.server.stats()["listen_queue"], TIMEOUT_S, "requests that wait for the worker")
        assert can_read(clients) == []
        wait_for(lambda: front.answer_requests() == len(clients), TIMEOUT_S, "all of them")
        assert front.answers()


def fill(connection):
    connection.setblocking(False)
    with suppress(BlockingIOError, ConnectionError):
        while True:
            connection.send(bytes(2**16))


def test_a_client_that_takes_nothing_is_let_go_and_a_slow_one_is_not():
    """The slow one reads one piece between two looks at the front, and the kernel keeps hardly more for it."""
    with running_front("built", "--offload-timeout", "3", "--static-map", "/files={run}") as front:
        (front.run / "file").touch()
        os.truncate(front.run / "file", 2**26)
        before = descriptors(front.server)
        slow, stuck = front.request("/files/file", receive_buffer=2**18), front.request("/files/file")
        stuck_stream, backend = front.open_stream()

        def only_the_slow_one_is_left():
            assert slow.recv(2**16)
            fill(backend)
            return descriptors(front.server) == before + len(["its socket", "its file"])

        wait_for(only_the_slow_one_is_left, TIMEOUT_S, "two clients that are let go")
        for client in (stuck, stuck_stream):
            with pytest.raises(ConnectionResetError):
                receive(client)
        slow.close()
        wait_for(lambda: descriptors(front.server) == before, TIMEOUT_S, "no client")
