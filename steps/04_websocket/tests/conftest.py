import json

import pytest

from offload_lab.clients.session import Session
from offload_lab.clients.websocket import TEXT, WebSocketClient
from offload_lab.errors import MissingDependencyError
from offload_lab.stages.stage import Stage
from offload_lab.testing import require
from offload_lab.uwsgi import binary


def logged_in(port: int, name: str, password: str) -> str:
    """The Cookie header of a user who has just logged in."""
    client = Session(port)
    client.log_in(name, password)
    return client.cookie


class Board(Stage):
    """A stage with the Cookie headers of its two users. Its clock ticks fast, so that no test waits long for news.

    Its patience with a client that does not close is longer than the tests': a connection that ends has not timed out.
    """

    def __init__(
        self, variant: str, *, ping_s: float = 300, tick_s: float = 0.1, close_s: float = 300, **options
    ) -> None:
        placeholders = {"tick_s": str(tick_s), "ping_s": str(ping_s), "close_s": str(close_s)}
        super().__init__("04_websocket", variant, placeholders=placeholders, **options)

    def prepare(self):
        self.ada, self.grace = (logged_in(self.port, *user) for user in (("ada", "lovelace"), ("grace", "hopper")))

    def connect(self, cookie: str, **options) -> WebSocketClient:
        return WebSocketClient(self.port, headers={"Cookie": cookie}, **options)


def next_news(client, key) -> dict:
    """The next message that holds `key`: "text" for a message, "clients" for a tick of the clock."""
    while (received := client.receive()) is not None:
        if received.opcode == TEXT and key in (news := json.loads(received.payload)):
            return news
    raise AssertionError("the server closed the connection")


@pytest.fixture(scope="module")
def offload():
    with Board("offload") as stage:
        yield stage


@pytest.fixture(scope="module")
def native():
    with Board("native") as stage:
        yield stage


@pytest.fixture(scope="module")
def native_stock():
    """On a uWSGI as it is released: the one that the project builds has cured what is shown there."""
    with Board("native", engine=binary.find("wheel")) as stage:
        yield stage


@pytest.fixture
def built():
    try:
        return binary.find("built")
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
