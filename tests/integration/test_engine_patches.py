"""What each of uwsgi_build/patches cures, seen on the built uWSGI; that the stock one fails is expected, and checked.

The front is step 07's queue_full_broken: one worker, one offload thread. The app behind it is the test itself.
"""

import ctypes
import os
import selectors
import socket
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from offload_lab.clients.session import Session
from offload_lab.clients.websocket import CONTINUATION, PING, PONG, TEXT, WebSocketClient, frame
from offload_lab.process.polling import wait_for
from offload_lab.stages.stage import Stage
from offload_lab.testing import idle_workers, require
from offload_lab.timeouts import scaled

from .conftest import EVENT, HEAD, TIMEOUT_S, find, hall, hears, read, says

pytestmark = pytest.mark.full

CROWD = 250  # more than the queue in front of a thread holds
FEW, MANY = 5, 150  # streams
SEIZE, INTERRUPT, DETACH, SINGLESTEP, SYSCALL = 0x4206, 0x4207, 17, 9, 24  # of ptrace(2)
WALL = 0x40000000  # __WALL of waitpid(2): threads as well

unpatched = pytest.mark.xfail(strict=True, raises=(AssertionError, ConnectionError), reason="what the patch cures")
stock_fails = pytest.mark.parametrize("uwsgi", ["built", pytest.param("wheel", marks=unpatched)], scope="module")


def ptrace(request, tid):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(request, tid, None, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextmanager
def held(hall):
    """The one offload thread, stopped as a debugger does it: it stands for one that has more to carry than it can."""
    [tid] = [int(tid) for tid in os.listdir(f"/proc/{hall.pid}/task") if int(tid) != hall.pid]
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


def steps(hall, visitor, behind, kind):
    """What the thread does, step by step, until `visitor` hears one event: the system call it is in, -1 for none."""
    done = []
    with held(hall) as tid:
        behind.sendall(EVENT)
        while not hears([visitor]):
            ptrace(kind, tid)
            os.waitpid(tid, WALL)
            done.append(Path(f"/proc/{hall.pid}/task/{tid}/syscall").read_text().split()[0])
    assert read(visitor, len(EVENT)) == EVENT
    return done


@stock_fails
def test_an_event_costs_no_instruction_more_for_each_further_stream(uwsgi):
    with hall(uwsgi) as here:
        streams = [here.stream() for _ in range(FEW)]
        least = len(steps(here, *streams[-1], SINGLESTEP))
        streams += [here.stream() for _ in range(MANY - FEW)]
        assert len(steps(here, *streams[-1], SINGLESTEP)) - least < MANY - FEW


@stock_fails
def test_an_event_is_read_and_written_and_nothing_else(uwsgi):
    with hall(uwsgi) as here:
        calls = set(steps(here, *here.stream(), SYSCALL))
        assert len(calls) == 3, "one is the wait for the event"


@pytest.mark.parametrize("upstream", [False, True])
def test_what_the_other_side_does_not_take_at_once_arrives_whole(upstream):
    with hall("built") as here:
        visitor, behind = here.stream()
        writer, reader = (visitor, behind) if upstream else (behind, visitor)
        data, sent = os.urandom(2**24), 0
        with selectors.DefaultSelector() as selector:
            selector.register(writer, selectors.EVENT_WRITE)
            writer.setblocking(False)
            while selector.select(0.5):  # until every buffer on the way is full
                sent += writer.send(data[sent:])
        assert read(reader, sent) == data[:sent]
        assert here.stream()


@stock_fails
def test_whom_the_thread_cannot_take_gets_503_and_the_worker_serves_on(uwsgi):
    with hall(uwsgi, "--socket-timeout", "2") as here:
        with held(here):
            visitors = [here.knock() for _ in range(CROWD)]
            carried = []
            wait_for(lambda: carried.extend(here.requests()) or carried or hears(visitors), TIMEOUT_S, "any answer")
            assert not carried, "by the worker, as there is no thread"
            assert here.serves()
            refused = hears(visitors)
        assert {read(visitor)[:12] for visitor in refused} == {b"HTTP/1.1 503"}
        wait_for(
            lambda: carried.extend(here.requests()) or len(carried) == CROWD - len(refused), TIMEOUT_S, "all others"
        )
        assert idle_workers(here.front)[0].offloaded == len(carried)
        assert here.stream()


def test_a_crowd_is_carried_by_a_thread_that_goes_on_in_time():
    with hall("built", "--socket-timeout", "60") as here:
        with held(here):
            visitors = [here.knock() for _ in range(CROWD)]

            def the_worker_waits():
                return here.front.stats()["listen_queue"] == CROWD - here.front.workers()[0].offloaded - 1

            wait_for(the_worker_waits, TIMEOUT_S, "a full queue")
            assert hears(visitors) == []
        carried = []
        wait_for(lambda: carried.extend(here.requests()) or len(carried) == CROWD, TIMEOUT_S, "all of them behind")
        assert here.serves()


OTHER_WAYS = {  # of handing over: the route, what a store behind it begins with, and how the refusal begins
    "/http": ("http:{run}/sse.sock", b"", b"HTTP/1.1 503 "),
    "/cache": (f"cache:key={__file__},name=shelf", b"", b"HTTP/1.1 503 "),
    "/file": ("fastfile:filename=/proc/self/exe", b"", b"HTTP/1.1 200 "),
    "/redis": ("redis:addr={run}/store,key=ticket", b"$9999\r\none", b"HTTP/1.1 200 "),
    "/memcached": ("memcached:addr={run}/store,key=ticket", b"VALUE ticket 0 9999\r\none", b"HTTP/1.1 200 "),
}
SHELF = ["--cache2", "name=shelf,items=9", "--load-file-in-cache", f"shelf {__file__}"]


@pytest.fixture(scope="module")
def overloaded():
    """A front whose thread does not move, and which knows it."""
    routes = [word for path, (action, *_) in OTHER_WAYS.items() for word in ("--route", f"^{path} {action}")]
    with hall("built", "--socket-timeout", "2", *SHELF, *routes) as here, held(here):
        visitors = [here.knock() for _ in range(CROWD)]
        wait_for(lambda: hears(visitors), TIMEOUT_S, "the first one refused")
        assert here.serves()
        yield here


@pytest.mark.parametrize("path", OTHER_WAYS)
def test_no_other_way_of_handing_over_keeps_the_worker_either(overloaded, path):
    _, begun, refusal = OTHER_WAYS[path]
    with socket.socket(socket.AF_UNIX) as store:
        store.settimeout(scaled(TIMEOUT_S))
        store.bind(str(overloaded.run / "store"))
        store.listen()
        visitor = overloaded.knock(path)
        if begun:
            with store.accept()[0] as client, suppress(BrokenPipeError):  # of somebody who does not wait for the rest
                client.sendall(begun)
                wait_for(lambda: hears([visitor]), TIMEOUT_S, "what was begun")
                client.sendall(bytes(9999))
    (overloaded.run / "store").unlink()
    answer = read(visitor)  # and the end of it: the visitor is let go
    assert answer.startswith(refusal)
    assert len(answer) < 9999
    assert overloaded.serves()


@stock_fails
def test_while_nobody_is_behind_visitors_get_503(uwsgi):
    with hall(uwsgi) as here:
        here.door.close()
        assert read(here.knock()).startswith(b"HTTP/1.1 503 ")
        wait_for(lambda: "(HTTP/1.1 503)" in here.front.log_tail(), TIMEOUT_S, "the same in the log")


@stock_fails
def test_where_the_listen_queue_behind_does_not_move_visitors_get_503_and_the_worker_waits_once(uwsgi):
    with hall(uwsgi, "--socket-timeout", "2", listen=0) as here:
        waits, refused, too = here.knock(), here.knock(), here.knock()
        assert read(refused).startswith(b"HTTP/1.1 503 ")
        assert read(too).startswith(b"HTTP/1.1 503 ")
        assert here.serves()
        assert here.front.log_tail().count("does not move") == 1
        wait_for(here.requests, TIMEOUT_S, "who came first behind")
        assert read(waits, len(HEAD)) == HEAD
        assert here.stream()


def test_a_crowd_larger_than_the_listen_queue_behind_is_carried_as_it_moves():
    with hall("built", "--socket-timeout", "60", listen=0) as here:
        visitors = [here.knock() for _ in range(9)]
        wait_for(lambda: here.front.stats()["listen_queue"], TIMEOUT_S, "some who wait for the worker, as it waits")
        assert hears(visitors) == []
        carried = []
        wait_for(lambda: carried.extend(here.requests()) or len(carried) == len(visitors), TIMEOUT_S, "all of them")
        assert here.serves()


def visit(stage, name, password):
    visitor = Session(stage.port)
    visitor.log_in(name, password)
    return WebSocketClient(stage.port, headers={"Cookie": visitor.cookie}, timeout_s=TIMEOUT_S)


@pytest.fixture(scope="module")
def board(uwsgi):
    with Stage("04_websocket", "native", engine=find(uwsgi), placeholders={"tick_s": "0.1"}) as stage:
        yield stage


@stock_fails
def test_a_fragment_is_continued_by_who_began_it(board):
    with visit(board, "ada", "lovelace") as ada, visit(board, "grace", "hopper") as grace:
        ada.send(frame(TEXT, b"my password is ", final=False) + frame(PING))
        while ada.receive().opcode != PONG:  # the server has it
            pass
        grace.send(frame(CONTINUATION, b"whatever she said"))
        assert not says(grace, "my password is whatever she said")
        ada.send(frame(CONTINUATION, b"mine"))
        assert says(ada, "my password is mine")


@stock_fails
def test_a_message_inside_another_ends_the_connection(board):
    with visit(board, "ada", "lovelace") as ada:
        ada.send(frame(TEXT, b"a beginning ", final=False) + frame(TEXT, b"another"))
        assert not says(ada, "another")


@stock_fails
def test_a_frame_that_continues_nothing_ends_its_own_connection_only(board):
    [before] = board.process("ws_native").workers()
    with visit(board, "ada", "lovelace") as bystander, visit(board, "grace", "hopper") as grace:
        grace.send(frame(CONTINUATION, b"x"))
        assert not says(grace, "x")
        bystander.send_text("still here")
        assert says(bystander, "still here")
    [after] = board.process("ws_native").workers()
    assert after.pid == before.pid
