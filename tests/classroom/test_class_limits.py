"""What a class board takes, from whom, and what it says otherwise; and a seat on a phone."""

import http.client
import io
import json
import secrets
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

from offload_lab.classroom.messages import LARGEST, SMALLEST
from offload_lab.cli.main import lab as commands
from offload_lab.errors import LabError
from offload_lab.testing import require_linux
from offload_lab.timeouts import scaled

from .running_class import slow_senders, until

WITHIN_S = 30

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def running(new_class):
    require_linux("a second loopback address")
    return new_class("--bind", "127.0.0.2")


def ask(running, method, path, body=None, kind="application/json", host="127.0.0.1", source=None, name=None):
    """Status and text of an answer. `name`: the Host header, if not `host`."""
    connection = http.client.HTTPConnection(host, running.port, scaled(WITHIN_S), source_address=source)
    headers = {**({"Content-Type": kind} if body else {}), **({"Host": name} if name else {})}
    connection.request(method, path, body=body, headers=headers)
    with connection.getresponse() as answer:
        text = answer.read().decode()
    connection.close()
    return answer.status, text


def post(running, path, **body):
    status, text = ask(running, "POST", path, json.dumps(body))
    return status, json.loads(text)


def take_seat(running, nickname):
    seat = secrets.token_hex(16)
    status, answer = post(running, "/join", seat=seat, code=running.code, nickname=nickname)
    assert status == 200, answer
    return {"seat": seat, "token": answer["token"]}


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """``lab(*words)`` runs a command in this process, as a learner with folders of their own."""
    monkeypatch.setenv("LAB_WORK", str(tmp_path / "work"))
    monkeypatch.setenv("LAB_RESULTS", str(tmp_path))
    return lambda *words: commands.main(list(words), standalone_mode=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["join", "URL", "WRONG1", "kim"], "'WRONG1' is not the room's code; look at the projector"),
        (["join", "URL", "CODE", "a name that is far too long"], "has 27 characters; choose one of at most 20"),
        (["join", "URL", "CODE", "Taken"], "the nickname 'Taken' is taken; choose another"),
        (["join", "http://127.0.0.1:1/", "CODE", "kim"], "no class answers at http://127.0.0.1:1: "),
        (["join", "127.0.0.1:9000", "CODE", "kim"], "it looks like http://192.168.1.20:9000/"),
        (["class", "--bind", "nowhere"], "--bind 'nowhere' is no IPv4 address; this machine has "),
        (["class", "--bind", "203.0.113.7", "--port", "auto"], "--bind 203.0.113.7: Cannot assign requested address;"),
        (["class", "--port", "PORT"], "is already in use; choose another with --port"),
        (["class", "20"], "20 minutes are too few"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_words_are_answered_with_the_value_and_what_to_do(running, lab, tmp_path, words, said):
    if "Taken" in words:
        take_seat(running, "taken")
    values = {"URL": running.url, "CODE": running.code, "PORT": str(running.port)}
    with pytest.raises(LabError) as error:
        lab(*[values.get(word, word) for word in words], *["--yes"] * (words[0] == "join"))
    assert said in str(error.value)
    assert not (tmp_path / "work" / ".class.json").exists()


@pytest.mark.parametrize(
    "order",
    [
        [],
        {"kind": []},
        {"kind": "section", "section": 1.0},
        {"kind": "show", "what": []},
        {"kind": "reveal", "notebook": {}, "stage": "guesses"},
        {"kind": "lower", "seat_number": "1"},
    ],
    ids=json.dumps,
)
def test_an_order_of_other_types_is_refused_and_changes_nothing(running, order):
    path, before = f"{urlsplit(running.teacher).path}act", running.events()
    assert ask(running, "POST", path, json.dumps(order)) == (400, "no such order\n")
    assert running.events() == before


def test_what_another_server_answers_cannot_act_on_the_terminal(lab):
    class Answer(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(403)
            self.end_headers()
            self.wfile.write(json.dumps({"error": "\x1b[2Jno"}).encode())

        def log_message(self, *words):
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(LabError, match=r"^\\x1b\[2Jno$"):
            lab("join", f"http://127.0.0.1:{server.server_port}/", "CODE", "kim", "--yes")
        thread.join(scaled(WITHIN_S))


def test_without_a_yes_nothing_is_sent(running, lab, monkeypatch, capsys):
    before = running.events()
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    lab("join", running.url, running.code, "unsure")
    assert "not joined; nothing was sent" in capsys.readouterr().out
    assert running.events() == before


def test_the_same_seat_may_join_again_and_the_same_message_counts_once(running):
    seat = take_seat(running, "again")
    assert post(running, "/join", seat=seat["seat"], code=running.code, nickname="again")[1] == {"token": seat["token"]}
    assert post(running, "/join", seat=seat["seat"], code=running.code, nickname="other") == (
        409,
        {"error": "this seat has joined as 'again'; join with that nickname"},
    )
    hand = {"sequence": 1, "kind": "hand", "up": True}
    for _ in range(3):
        assert post(running, "/seat", **seat, messages=[hand, hand])[0] == 200
    events = [(kind, data.get("sequence")) for kind, data in running.events() if data.get("seat") == seat["seat"]]
    assert events == [("joined", None), ("hand", 1)]


def test_a_message_that_is_none_is_refused_and_the_others_are_taken(running):
    seat = take_seat(running, "mixed")
    messages = [{"sequence": 1, "kind": "code", "text": "x"}, {"sequence": 2, "kind": "hand", "up": True}]
    status, answer = post(running, "/seat", **seat, messages=messages)
    assert (status, len(answer["refused"]), answer["hand"]) == (200, 1, True)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/join", b"no json", 400),
        ("/join", b"[]", 400),
        ("/join", b"[" * 60_000, 400),
        ("/join", b'{"seat": "short"}', 400),
        ("/seat", b'{"seat": "%s", "token": "x", "messages": []}' % (b"a" * 32), 403),
    ],
    ids=["no json", "a list", "too deep", "no seat", "no token"],
)
def test_what_is_no_request_of_a_seat_is_refused(running, path, body, status):
    assert ask(running, "POST", path, body)[0] == status


def test_a_body_that_is_too_large_is_refused_before_it_is_read(running):
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=scaled(WITHIN_S))
    connection.putrequest("POST", "/seat")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Content-Length", "200000")
    connection.endheaders()
    with connection.getresponse() as answer:
        assert answer.status == 413
    connection.close()


SLOW = {
    "head": b"GET / HTTP/1.1\r\nX-Slow: ",
    "body": b"POST /join HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n",
}


@pytest.mark.parametrize("beginning", SLOW.values(), ids=SLOW)
def test_twenty_slow_senders_keep_no_seat_waiting(running, beginning):
    with slow_senders(running.port, beginning):
        assert ask(running, "GET", "/")[0] == 200
        assert take_seat(running, f"beside {len(beginning)}")


def test_a_form_of_another_site_can_send_nothing(running):
    teacher = running.teacher.partition(f":{running.port}")[2]
    assert ask(running, "POST", "/join", b"{}", kind="text/plain")[0] == 400
    assert ask(running, "POST", f"{teacher}act", b'{"kind": "section", "section": 1}', kind="text/plain")[0] == 400


def test_a_name_that_another_site_pointed_at_this_machine_is_not_answered(running):
    teacher = running.teacher.partition(f":{running.port}")[2]
    for path in ("/", teacher, "/assets/phone.js"):
        assert ask(running, "GET", path, name=f"rebound.example:{running.port}")[0] == 400
        assert ask(running, "GET", path, name=f"localhost:{running.port}")[0] == 200


def test_the_projector_shows_the_smallest_and_the_largest_guess(running):
    teacher, projector = (url.partition(f":{running.port}")[2] for url in (running.teacher, running.projector))
    guess = {"sequence": 1, "kind": "guess", "notebook": "07_pitfalls", "guess": 0, "measured": None}
    for number, (value, refused) in enumerate(((5e-324, 1), (10**400, 1), (SMALLEST, 0), (LARGEST, 0))):
        seat = take_seat(running, f"guesser {number}")
        status, answer = post(running, "/seat", **seat, messages=[{**guess, "guess": value}])
        assert (status, len(answer["refused"])) == (200, refused)
    reveal = {"kind": "reveal", "notebook": "07_pitfalls", "stage": "guesses"}
    for order in ({"kind": "show", "what": "07_pitfalls"}, reveal):
        assert ask(running, "POST", f"{teacher}act", json.dumps(order))[0] == 204
    status, picture = ask(running, "GET", f"{projector}picture")
    assert (status, picture.count("<circle")) == (200, 2)


def test_wrong_codes_are_limited_for_each_address(running):
    guess = json.dumps({"seat": "b" * 32, "code": "AAAAAA", "nickname": "guesser"})
    tries = (ask(running, "POST", "/join", guess, source=("127.0.0.9", 0))[0] for _ in range(200))
    assert 429 in tries, "more than any minute allows"
    right = json.dumps({"seat": "9" * 32, "code": running.code, "nickname": "neighbour"})
    assert ask(running, "POST", "/join", right, source=("127.0.0.9", 0))[0] == 200, "nobody is locked out"
    assert post(running, "/join", seat="b" * 32, code="AAAAAA", nickname="x")[0] == 403, "another address"


def test_a_board_needs_its_token_and_its_machine(running):
    for url in (running.teacher, running.projector):
        path = url.partition(f":{running.port}")[2]
        assert ask(running, "GET", path)[0] == 200
        assert ask(running, "GET", path, source=("127.0.0.3", 0))[0] == 404
        for name in ("", "picture", "stream"):
            assert ask(running, "GET", f"{path[:-2]}/{name}")[0] == 404
    projector = running.projector.partition(f":{running.port}")[2]
    assert ask(running, "POST", f"{projector}act", b'{"kind": "section", "section": 1}')[0] == 400


def test_a_bound_address_is_reached_and_another_is_not_listened_on(running):
    assert running.url.startswith("http://127.0.0.2:")
    assert ask(running, "GET", "/", host="127.0.0.2")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        ask(running, "GET", "/", host="127.0.0.4")


def test_a_phone_says_why_its_number_was_not_taken_and_takes_another(running, open_page):
    teacher = open_page(running.teacher)
    teacher.click("#show-05_uwsgi_api")
    phone = open_page(running.url)
    phone.fill("#code", running.code)
    phone.fill("#nickname", "tiny")
    phone.click("#join button")
    phone.wait_for_selector("#guess:not([hidden])")
    for number, shown in (("1e-13", "not taken"), ("3", "✓")):
        phone.fill("#number", number)
        phone.click("#guess button")
        until(teacher, f"[...document.querySelectorAll('td.guess')].some(one => one.textContent === '{shown}')")
        if shown == "not taken":
            phone.wait_for_selector("#guess:not([hidden])")
            why = phone.locator("#refused").inner_text()
            assert why == "Not taken: a guess is 0, or a number from 1e-12 to 1e+12, and not 1e-13"
    assert phone.locator("#refused").is_hidden()
    assert teacher.locator("td.guess.amber").count() == 0


def test_a_phone_sends_a_number_later_what_was_queued_and_all_is_escaped(running, open_page):
    teacher = open_page(running.teacher)
    teacher.click("#show-06_shared_state")
    phone = open_page(running.url)
    phone.set_viewport_size({"width": 360, "height": 640})
    phone.fill("#code", running.code.lower())
    phone.fill("#nickname", "<img src=x>")
    phone.click("#join button")
    phone.wait_for_selector("#guess:not([hidden])")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360, "it fits a phone"
    phone.context.set_offline(True)
    phone.fill("#number", "12.5")
    phone.click("#guess button")
    phone.click("#hand")
    until(phone, "document.getElementById('waiting').textContent === '2 not sent yet'")
    phone.context.set_offline(False)
    until(phone, "document.getElementById('waiting').textContent === ''")
    until(teacher, "document.querySelector('tbody')?.textContent.includes('<img src=x>')")
    mine = "tr:has-text('<img src=x>') button.hand"
    teacher.wait_for_selector(mine)
    assert teacher.locator("img").count() == 0
    guesses = [data["guess"] for kind, data in running.events() if data.get("notebook") == "06_shared_state"]
    assert guesses == [12.5]
    teacher.click(mine)
    until(phone, "document.getElementById('hand').textContent === 'Raise my hand'")
