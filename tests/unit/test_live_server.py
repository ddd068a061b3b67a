"""The server of the live view's page: who gets it, and which orders it takes."""

import http.client
import json
from types import SimpleNamespace

import pytest

from offload_lab.live.server import Server as PageServer
from offload_lab.live.side import Side
from offload_lab.live.view import View


@pytest.fixture
def served():
    side = SimpleNamespace(
        frame=lambda start: {"text": "all is well"},
        about=dict,
        submit=lambda number, action: None,
        pause=lambda paused: None,
        close=lambda: None,
    )
    assert set(vars(side)) <= set(dir(Side))
    with View("03_sse_offload", "", [side]) as view, PageServer(view) as server:
        yield server


def ask(server, path, method="GET", body=None, host=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    headers = {"Host": host or f"127.0.0.1:{server.server_port}", **headers}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read() if "event-stream" not in answer.headers["Content-Type"] else b""
    connection.close()
    return found


def test_the_page_is_for_who_knows_the_token(served):
    assert ask(served, f"/{served.token}/")[0] == 200
    assert ask(served, f"/{served.token}/recording")[0] == 200
    for path in ("/", "/page.html", f"/{served.token}", f"/{served.token}x/", f"/{served.token}/../view.py", "/%ff/"):
        assert ask(served, path)[0] == 404
    assert ask(served, f"/{served.token}/", host="evil.example:80")[0] == 404


def test_an_order_needs_the_token_json_and_a_known_action(served):
    order = json.dumps({"action": "ping"})
    is_json = {"Content-Type": "application/json"}
    assert ask(served, f"/{served.token}/act", "POST", order, **is_json)[0] == 200
    assert ask(served, "/x/act", "POST", order, **is_json)[0] == 404
    assert ask(served, f"/{served.token}/act", "POST", order, **{"Content-Type": "text/plain"})[0] == 400
    for wrong in ('{"action": "rm"}', "{}", "[]", "no json", json.dumps({"action": "x" * 2000})):
        assert ask(served, f"/{served.token}/act", "POST", wrong, **is_json)[0] == 400
