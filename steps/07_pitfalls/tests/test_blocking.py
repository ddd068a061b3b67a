"""One call that blocks among greenlets: who waits with it, and how to wait alone. Nothing here looks at a clock."""

import http.client
import socket
import sqlite3
from contextlib import ExitStack, closing, contextmanager

import pytest

from offload_lab import programs
from offload_lab.clients import fetch, ping
from offload_lab.inspect.threads import read_syscall
from offload_lab.process.polling import wait_for
from offload_lab.timeouts import scaled

from .conftest import TIMEOUT_S

SLEEPS = {35, 230, 101, 115}  # nanosleep and clock_nanosleep, on x86_64 and on aarch64


@contextmanager
def asked(stage, path, cookie=""):
    """A visitor who has asked and waits for the answer."""
    with socket.create_connection(("127.0.0.1", stage.port), timeout=scaled(TIMEOUT_S)) as visitor:
        visitor.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
        yield visitor


def new_bytes(visitor):
    """What has come since the last look, without waiting for more."""
    came = b""
    visitor.setblocking(False)
    try:
        while chunk := visitor.recv(65536):
            came += chunk
    except BlockingIOError:
        pass
    visitor.settimeout(scaled(TIMEOUT_S))
    return came


def is_answered(visitor):
    assert visitor.recv(12)[8:] == b" 200"


def queue(stage):
    """How many connections nobody has taken; the master counts, whatever the workers do."""
    return stage.front.stats()["listen_queue"]


def sleeps_in_c(pid):
    """Whether the process's main thread sleeps by itself; under gevent it should wait in epoll, for everybody."""
    return bool(SLEEPS.intersection(read_syscall(pid, pid)[:1]))


@contextmanager
def somebody_writes(stage):
    """Another process has begun to write. Until it ends, every other writer waits: in SQLite, in C."""
    with closing(
        sqlite3.connect(stage.run / "django.sqlite3", isolation_level=None, timeout=scaled(TIMEOUT_S))
    ) as database:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("ROLLBACK")


@pytest.mark.core
def test_gevent_django_broken_blocks_all_clients_for_one_write(stage_of):
    stage = stage_of("gevent_django_broken")
    cookie = stage.log_in().cookie
    with ExitStack() as exits:
        ada = exits.enter_context(asked(stage, "/subscribe", cookie))
        wait_for(lambda: b"ticket" in new_bytes(ada), TIMEOUT_S, "ada's first ticket")
        assert ping(stage.port, TIMEOUT_S).status == 200  # so far it looks like a good idea
        with somebody_writes(stage):
            buyer = exits.enter_context(asked(stage, "/buy", cookie))
            wait_for(lambda: sleeps_in_c(stage.workers()[0].pid), TIMEOUT_S, "the worker asleep in SQLite")
            new_bytes(ada)
            bystander = exits.enter_context(asked(stage, "/ping"))
            wait_for(lambda: queue(stage) == 1, TIMEOUT_S, "the bystander in the listen queue")
            assert new_bytes(ada) == b"", "her stream goes on"
            assert new_bytes(bystander) == b""
        is_answered(bystander)
        is_answered(buyer)
        wait_for(lambda: b"ticket" in new_bytes(ada), TIMEOUT_S, "ada's stream going on")


@pytest.mark.core
def test_gevent_django_fixed_blocks_one_worker_only(stage_of):
    stage = stage_of("gevent_django_fixed")
    cookie = stage.log_in().cookie
    with stage.subscribe(cookie=cookie) as ada, ExitStack() as exits:
        ada.next()
        with somebody_writes(stage):
            buyer = exits.enter_context(asked(stage, "/buy", cookie))
            clerks = {worker.pid for worker in stage.workers()}
            asleep = set()  # noted when seen: SQLite wakes up now and then to try again
            wait_for(
                lambda: asleep.update(filter(sleeps_in_c, clerks)) or asleep, TIMEOUT_S, "a clerk asleep in SQLite"
            )
            [other] = clerks - asleep
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
    with asked(stage, "/?seconds=3600") as slow:
        wait_for(lambda: count(database, ASLEEP) == 1, TIMEOUT_S, "the query asleep in the database")
        with asked(stage, "/ping") as bystander:
            wait_for(lambda: queue(stage) == 1, TIMEOUT_S, "the bystander in the listen queue")
            assert (new_bytes(bystander), new_bytes(slow)) == (b"", b"")
            wake(database)
            is_answered(bystander)


@pytest.mark.core
def test_orm_in_gevent_late_broken_fails_every_query(database_of):
    """What gevent's patch replaces is in use by then: Django takes every greenlet for a thread that is not its own."""
    stage, _ = database_of("orm_in_gevent_late_broken")
    with pytest.raises(http.client.RemoteDisconnected):
        fetch(stage.port, "/?seconds=0")
    assert "objects created in a thread can only be used in that same thread" in stage.front.log.read_text()


@pytest.mark.core
def test_orm_in_gevent_fixed_lets_ten_queries_wait_alone(database_of):
    stage, database = database_of("orm_in_gevent_fixed")
    with ExitStack() as exits:
        slow = [exits.enter_context(asked(stage, "/?seconds=3600")) for _ in range(10)]
        wait_for(lambda: count(database, ASLEEP) == 10, TIMEOUT_S, "ten queries asleep in the database")
        assert ping(stage.port, TIMEOUT_S).status == 200
        assert fetch(stage.port, "/?seconds=0").body == b"1 seat\n"
        assert [new_bytes(one) for one in slow] == [b""] * 10
        wake(database)
    wait_for(lambda: count(database, OTHERS) == 0, TIMEOUT_S, "no connection left open in the database")
