"""gevent_django, orm_in_gevent: one call that blocks among greenlets, and which clients wait with it."""

import http.client
import socket
import sqlite3
from contextlib import ExitStack, closing, contextmanager

import pytest

from offload_lab import programs
from offload_lab.clients import fetch, ping
from offload_lab.inspect.threads import read_syscall
from offload_lab.process.polling import wait_for
from offload_lab.system import NOT_TOLD, is_linux
from offload_lab.timeouts import scaled

from .conftest import TIMEOUT_S

knows_who_sleeps = pytest.mark.skipif(not is_linux(), reason=f"which worker sleeps in SQLite: {NOT_TOLD}")
SLEEPS = {35, 230, 101, 115}  # nanosleep and clock_nanosleep, on x86_64 and on aarch64


@contextmanager
def requested(stage, path, cookie=""):
    """A client that has sent its request and waits for the answer."""
    with socket.create_connection(("127.0.0.1", stage.port), timeout=scaled(TIMEOUT_S)) as client:
        client.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
        yield client


def new_bytes(client):
    """What has arrived since the last call, without waiting for more."""
    received = b""
    client.setblocking(False)
    try:
        while chunk := client.recv(65536):
            received += chunk
    except BlockingIOError:
        pass
    client.settimeout(scaled(TIMEOUT_S))
    return received


def is_answered(client):
    assert client.recv(12)[8:] == b" 200"


def listen_queue(stage):
    """How many connections wait to be accepted; the master counts them, whatever the workers do."""
    return stage.front.stats()["listen_queue"]


def sleeps_in_c(pid):
    """Whether the process's main thread sleeps in its own call; under gevent it should wait in epoll, for all."""
    return bool(SLEEPS.intersection(read_syscall(pid, pid)[:1]))


@contextmanager
def write_lock_held(stage):
    """Another connection holds the write lock. Until it ends, every other writer waits: in SQLite, in C."""
    with closing(
        sqlite3.connect(stage.run / "django.sqlite3", isolation_level=None, timeout=scaled(TIMEOUT_S))
    ) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


@pytest.mark.core
@knows_who_sleeps
def test_gevent_django_broken_blocks_all_clients_for_one_write(stage_of):
    stage = stage_of("gevent_django_broken")
    cookie = stage.log_in().cookie
    with ExitStack() as exits:
        ada = exits.enter_context(requested(stage, "/subscribe", cookie))
        wait_for(lambda: b"ticket" in new_bytes(ada), TIMEOUT_S, "ada's first ticket")
        assert ping(stage.port, TIMEOUT_S).status == 200
        with write_lock_held(stage):
            buyer = exits.enter_context(requested(stage, "/buy", cookie))
            wait_for(lambda: sleeps_in_c(stage.workers()[0].pid), TIMEOUT_S, "the worker asleep in SQLite")
            new_bytes(ada)
            bystander = exits.enter_context(requested(stage, "/ping"))
            wait_for(lambda: listen_queue(stage) == 1, TIMEOUT_S, "the bystander in the listen queue")
            assert new_bytes(ada) == b"", "her stream goes on"
            assert new_bytes(bystander) == b""
        is_answered(bystander)
        is_answered(buyer)
        wait_for(lambda: b"ticket" in new_bytes(ada), TIMEOUT_S, "ada's stream going on")


@pytest.mark.core
@knows_who_sleeps
def test_gevent_django_fixed_blocks_one_worker_only(stage_of):
    stage = stage_of("gevent_django_fixed")
    cookie = stage.log_in().cookie
    with stage.subscribe(cookie=cookie) as ada, ExitStack() as exits:
        ada.next()
        with write_lock_held(stage):
            buyer = exits.enter_context(requested(stage, "/buy", cookie))
            workers = {worker.pid for worker in stage.workers()}
            asleep = set()  # kept once seen: SQLite wakes up now and then to try again
            wait_for(
                lambda: asleep.update(filter(sleeps_in_c, workers)) or asleep, TIMEOUT_S, "a worker asleep in SQLite"
            )
            [other] = workers - asleep
            assert {ping(stage.port, TIMEOUT_S).pid for _ in range(5)} == {other}
            now = len(ada.events)
            while len(ada.events) < now + 2:
                ada.next()
            assert new_bytes(buyer) == b""
        is_answered(buyer)


@pytest.fixture
def database_of(stage_of):
    """A variant's stage and a connection to its database, which is up then."""
    programs.require("postgresql")
    import psycopg

    with ExitStack() as exits:

        def connect(variant):
            stage = stage_of(variant)
            where = {"host": str(stage.run / "postgres"), "user": "lab", "dbname": "postgres", "autocommit": True}

            def is_up():
                try:
                    psycopg.connect(**where).close()
                except psycopg.OperationalError:
                    return False
                return True

            wait_for(is_up, TIMEOUT_S, "PostgreSQL")
            return stage, exits.enter_context(psycopg.connect(**where))

        yield connect


OTHERS = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
ASLEEP = f"{OTHERS} AND state = 'active' AND query LIKE '%pg_sleep(%'"


def count(database, rows):
    return database.execute(f"SELECT count(*) {rows}").fetchone()[0]


def wake(database):
    database.execute(f"SELECT pg_cancel_backend(pid) {ASLEEP}")


@pytest.mark.core
def test_orm_in_gevent_broken_blocks_all_clients_for_one_query(database_of):
    stage, database = database_of("orm_in_gevent_broken")
    with requested(stage, "/?seconds=3600") as slow:
        wait_for(lambda: count(database, ASLEEP) == 1, TIMEOUT_S, "the query asleep in the database")
        with requested(stage, "/ping") as bystander:
            wait_for(lambda: listen_queue(stage) == 1, TIMEOUT_S, "the bystander in the listen queue")
            assert (new_bytes(bystander), new_bytes(slow)) == (b"", b"")
            wake(database)
            is_answered(bystander)


@pytest.mark.core
def test_orm_in_gevent_late_broken_fails_every_query(database_of):
    """Django made its connection before the patch, and takes every greenlet for another thread."""
    stage, _ = database_of("orm_in_gevent_late_broken")
    with pytest.raises(http.client.RemoteDisconnected):
        fetch(stage.port, "/?seconds=0")
    assert "objects created in a thread can only be used in that same thread" in stage.front.log.read_text()


@pytest.mark.core
def test_orm_in_gevent_fixed_lets_ten_queries_wait_alone(database_of):
    stage, database = database_of("orm_in_gevent_fixed")
    with ExitStack() as exits:
        slow = [exits.enter_context(requested(stage, "/?seconds=3600")) for _ in range(10)]
        wait_for(lambda: count(database, ASLEEP) == 10, TIMEOUT_S, "ten queries asleep in the database")
        assert ping(stage.port, TIMEOUT_S).status == 200
        assert fetch(stage.port, "/?seconds=0").body == b"1 seat\n"
        assert [new_bytes(client) for client in slow] == [b""] * 10
        wake(database)
    wait_for(lambda: count(database, OTHERS) == 0, TIMEOUT_S, "no connection left open in the database")
