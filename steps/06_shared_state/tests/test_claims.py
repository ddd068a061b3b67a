"""Both stores: a payload too large for variables reaches the client, once; every other key is refused."""

import json
import os
import secrets
import signal
import socket
import struct

import pytest

from offload_lab.clients import ping
from offload_lab.clients.session import Session
from offload_lab.clients.sse import Head, SseClient
from offload_lab.process.polling import wait_for
from offload_lab.testing import idle_workers
from offload_lab.timeouts import scaled

TIMEOUT_S = 30
PACKET_LIMIT = 64 * 1024  # uWSGI's: all variables of a request together
REFUSAL = b"event: refused\ndata: this key was used before, has expired, or never was\n\n"
MALFORMED = ["", "a", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "é", "feed", "../../etc/passwd", "*", "A" * 9000]


CACHE_ITEMS = 100  # as cache.ini has it
with_redis = pytest.mark.parametrize("claims", ["redis"], indirect=True)
with_cache = pytest.mark.parametrize("claims", ["cache"], indirect=True)


def connect(path, modifiers=(0, 0), **variables):
    """A connection to a uWSGI socket, with a request in uWSGI's own protocol on its way."""
    packed = b"".join(
        struct.pack("<H", len(half)) + half for pair in variables.items() for half in (word.encode() for word in pair)
    )
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(scaled(TIMEOUT_S))
    connection.connect(str(path))
    connection.sendall(struct.pack("<BHB", modifiers[0], len(packed), modifiers[1]) + packed)
    return connection


def head_of(connection):
    """The answer's head, and what came with it."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += connection.recv(65536)
    head, _, rest = raw.partition(b"\r\n\r\n")
    return Head.parse(head), rest


class ClaimStore:
    """A stage, and its store behind Django's back."""

    def __init__(self, stage):
        self.stage, self.kind = stage, stage.variant.name
        self.socket = stage.run / f"{self.kind}_claims.sock"

    def put(self, key, payload, life_s=600):
        if self.kind == "redis":
            self.stage.redis.set(f"claim:{key}", payload, ex=life_s)
        else:
            arguments = {
                "cmd": "set",
                "cache": "payloads",
                "key": key,
                "size": str(len(payload)),
                "expires": str(life_s),
            }
            with connect(self.stage.run / "cache.sock", (111, 17), **arguments) as connection:
                connection.sendall(payload.encode())
                assert b"ok" in connection.recv(100)

    def has(self, key):
        if self.kind == "redis":
            return bool(self.stage.redis.exists(f"claim:{key}"))
        arguments = {"cmd": "exists", "cache": "payloads", "key": key}
        with connect(self.stage.run / "cache.sock", (111, 17), **arguments) as connection:
            return b"ok" in connection.recv(100)

    def ask(self, key):
        return connect(self.socket, REQUEST_METHOD="GET", PATH_INFO="/subscribe", X_OFFLOAD="ada", X_CLAIM=key)

    def is_refused(self, key):
        with self.ask(key) as connection:
            head, body = head_of(connection)
            body += b"".join(iter(lambda: connection.recv(65536), b""))
        assert (head.status, head.get("Content-Type"), body) == (410, ["text/event-stream"], REFUSAL)
        return True


@pytest.fixture(scope="module", params=["redis", "cache"])
def claims(request, started):
    return ClaimStore(started(request.param, tick_s=0.05))


@pytest.fixture
def key():
    return secrets.token_urlsafe(32)


PAYLOAD = json.dumps({"for": "ada", "departures": [{"train": 1}] * 100})


@pytest.mark.core
def test_the_payload_exceeds_all_variables_and_django_is_free(claims):
    [before] = idle_workers(claims.stage)
    with claims.stage.subscribe() as ada:
        payload = json.loads(ada.next().data)
        assert payload["for"] == "ada"
        assert payload["characters"] > PACKET_LIMIT
        assert [json.loads(ada.next().data)["train"] for _ in range(3)] == [100, 101, 102]
        assert ping(claims.stage.port, TIMEOUT_S).pid == before.pid
        [after] = idle_workers(claims.stage)
        assert after.offloaded == before.offloaded + 1


def test_every_user_gets_her_own_payload_and_sees_no_key(claims):
    grace = Session(claims.stage.port)
    grace.log_in("grace", "hopper")
    for cookie, name in ((claims.stage.ada.cookie, "ada"), (grace.cookie, "grace")):
        with claims.stage.subscribe(cookie=cookie) as client:
            assert json.loads(client.next().data)["for"] == name
            assert not [name for name, _ in client.head.headers if "offload" in name.lower()]


def test_an_anonymous_client_leaves_no_payload(claims):
    [before] = idle_workers(claims.stage)
    with SseClient(claims.stage.port, headers=[("X-Claim", "A" * 43), ("X_CLAIM", "A" * 43)]) as anonymous:
        assert (anonymous.head.status, anonymous.read_all()) == (403, b"log in first\n")
        assert anonymous.head.get("X-Frame-Options") == ["DENY"]
    assert idle_workers(claims.stage)[0].offloaded == before.offloaded


@pytest.mark.core
def test_a_key_works_once(claims, key):
    claims.put(key, PAYLOAD)
    with claims.ask(key) as connection:
        head, _ = head_of(connection)
    assert head.status == 200
    assert not claims.has(key)
    assert claims.is_refused(key)


def test_of_twenty_claims_at_once_with_one_key_one_gets_the_payload(claims, key):
    claims.put(key, PAYLOAD)
    asked = [claims.ask(key) for _ in range(20)]
    statuses = sorted(head_of(connection)[0].status for connection in asked)
    for connection in asked:
        connection.close()
    assert statuses == [200] + [410] * 19


def test_an_expired_key_is_refused(claims, key):
    claims.put(key, PAYLOAD, life_s=1)
    wait_for(lambda: not claims.has(key), TIMEOUT_S, "the payload gone")
    assert claims.is_refused(key)


@pytest.mark.parametrize("forged", MALFORMED, ids=ascii)
def test_a_malformed_key_is_refused(claims, forged):
    assert claims.is_refused(forged)


def test_an_invented_key_is_refused(claims, key):
    assert claims.is_refused(key)


def first_event(stage):
    with stage.subscribe() as ada:
        try:
            return ada.next().type
        except ConnectionError:
            return None


def is_asked_to_come_again(answer, start):
    """A stream of nothing: a browser comes back by itself, and to what it was about to lose nothing is added."""
    assert (answer.status, start[:7]) == (200, b"retry: ")
    assert answer.get("Content-Type")[0].startswith("text/event-stream")
    assert b"\n\n" not in start
    return True


def test_a_client_of_a_stopped_backend_retries_and_leaves_no_payload(claims):
    stage = claims.stage
    name = f"{stage.front.name}_claims"
    pid = stage.kill_worker(name, signal.SIGSTOP)
    try:
        with stage.subscribe() as ada:
            assert is_asked_to_come_again(ada.head, ada.read_all())
        if name == "redis_claims":
            assert stage.redis.keys("claim:*") == []
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_for(lambda: first_event(stage) == "payload", TIMEOUT_S, "the backend at work again")


@with_redis
def test_without_redis_a_browser_retries_and_then_gets_its_payload(claims, key):
    stage = claims.stage
    os.kill(stage.process("store").pid, signal.SIGSTOP)  # or it would start another
    try:
        os.kill(stage.redis_pid(), signal.SIGKILL)
        with stage.subscribe() as ada:  # Django could not leave the payload there
            assert is_asked_to_come_again(ada.head, ada.read_all())
        with claims.ask(key) as connection:  # and the backend could not read it, had Redis gone a moment later
            assert is_asked_to_come_again(*head_of(connection))
    finally:
        os.kill(stage.process("store").pid, signal.SIGCONT)
    wait_for(lambda: first_event(stage) == "payload", TIMEOUT_S, "Redis started again")


@with_cache
def test_a_full_cache_makes_clients_retry_until_there_is_room(claims):
    keys = [secrets.token_urlsafe(32) for _ in range(CACHE_ITEMS - 1)]  # the first place is uWSGI's own
    for key in keys:
        claims.put(key, PAYLOAD)
    with claims.stage.subscribe() as ada:
        assert is_asked_to_come_again(ada.head, ada.read_all())
    with claims.ask(keys[0]) as connection:
        assert head_of(connection)[0].status == 200
    assert first_event(claims.stage) == "payload"
    with connect(claims.stage.run / "cache.sock", (111, 17), cmd="clear", cache="payloads") as connection:
        connection.recv(100)


@with_cache
def test_a_busy_django_delays_its_cache_but_not_the_open_streams(claims, key):
    claims.put(key, PAYLOAD)
    with claims.ask(key) as lucky:
        assert head_of(lucky)[0].status == 200
        pid = claims.stage.kill_worker("cache", signal.SIGSTOP)
        try:
            with claims.ask(secrets.token_urlsafe(32)) as waiting:
                for _ in range(10):
                    assert lucky.recv(1024)
                waiting.setblocking(False)
                with pytest.raises(BlockingIOError):
                    waiting.recv(1)
                os.kill(pid, signal.SIGCONT)
                waiting.settimeout(scaled(TIMEOUT_S))
                assert head_of(waiting)[0].status == 410
        finally:
            os.kill(pid, signal.SIGCONT)


@with_cache
def test_a_new_worker_finds_the_payloads_and_a_new_master_does_not(claims, key):
    claims.put(key, PAYLOAD)
    claims.stage.other_worker("cache", claims.stage.kill_worker("cache"))
    assert claims.has(key)
    claims.stage.restart("cache")
    assert not claims.has(key)


def test_a_payload_larger_than_a_block_is_reported_as_an_error(make_stage):
    with make_stage("cache", without=["cache_claims.ini"], block_bytes=4096) as stage, stage.subscribe() as ada:
        assert ada.head.status == 507
        assert b"do not fit into a block of 4096" in ada.read_all()
