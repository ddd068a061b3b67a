"""Twelve seats at a class board of two workers, and all that goes wrong in a room: nothing lost, nothing twice."""

import os
import signal
from collections import Counter

import pytest

from offload_lab.clients.sse import SseClient
from offload_lab.process.polling import wait_for
from offload_lab.uwsgi.stats import parse_workers, read_stats

from .running_class import until

SEATS = 12
WITHIN_S = 30
STEP, TASK = "01_file_wrapper", "offload_threads"
GUESSES = [4000.0625 + 7 * number for number in range(SEATS)]  # no port and no time of day looks like that
COUNTS = "() => [document.body.dataset.missed, document.body.dataset.twice].map(Number)"
OPEN = "document.body.dataset.stream === 'open'"

pytestmark = pytest.mark.full


def all_of(seats, condition, what):
    wait_for(lambda: all(condition(seat) for seat in seats), WITHIN_S, what)


def has_a_task_waiting(seat):
    return any(message["kind"] == "task" for message in seat.outbox["waiting"])


def workers(running):
    return [worker.pid for worker in parse_workers(read_stats(running.stats))]


def tried_in(page):
    """The number of seats of which the teacher's table shows tries of the task."""
    return f"document.querySelectorAll('td.task.open, td.task.amber').length === {page}"


def test_twelve_seats_lose_nothing_and_say_nothing_twice(new_class, new_seat, relay, open_page):
    running = new_class("90")
    path = running.projector.partition(f":{running.port}")[2] + "stream"
    with relay(running.port) as network, SseClient(running.port, path, timeout_s=WITHIN_S) as projector_stream:
        url = f"http://127.0.0.1:{network.port}/"
        names = [f"nickname-{number}" for number in range(SEATS)]
        seats = [new_seat(url, running.code, name) for name in names]
        all_of(seats, lambda seat: seat.has_joined(), "every seat at the board")
        teacher, projector = open_page(running.teacher), open_page(running.projector)
        until(teacher, f"document.querySelectorAll('tbody tr').length === {SEATS}")
        assert sorted(teacher.locator("tbody th").all_inner_texts()) == sorted(names)

        # guesses: counted for all, seen by none
        teacher.click("#show-00_start")
        for seat, guess in zip(seats, GUESSES, strict=True):
            seat.guess("00_start", guess, 1500.0)
        until(projector, f"document.querySelector('.huge')?.textContent.includes('{SEATS} of {SEATS}')")

        # a laptop falls asleep, the network is cut, and every worker is killed, the one with the teacher's stream too
        asleep = seats[-1]
        asleep.process.send_signal(signal.SIGSTOP)
        network.cut()
        for seat in seats:
            seat.try_task(STEP, TASK, 3)
        all_of(seats[:-1], has_a_task_waiting, "a message in each outbox")
        assert not any(kind == "task" for kind, _ in running.events())
        before = workers(running)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: 0 not in workers(running) and not set(before) & set(workers(running)), WITHIN_S, "new workers")
        network.restore()
        all_of(seats[:-1], lambda seat: seat.waiting == 0, "every outbox empty")
        until(teacher, tried_in(SEATS - 1))
        asleep.process.send_signal(signal.SIGCONT)
        until(teacher, tried_in(SEATS))
        assert teacher.locator("td.task.amber").count() == SEATS, "three failed tries"

        # once each, in the order in which they were said, and the pages missed nothing
        wait_for(lambda: asleep.waiting == 0, WITHIN_S, "an empty outbox")
        sent = [data for kind, data in running.events() if kind in ("guess", "task")]
        numbers = {seat.outbox["seat"]: [] for seat in seats}
        for data in sent:
            numbers[data["seat"]].append(data["sequence"])
        assert list(numbers.values()) == [[1, 2]] * SEATS
        assert Counter(data.get("guess") for data in sent) == Counter({**dict.fromkeys(GUESSES, 1), None: SEATS})
        for page in (teacher, projector):
            until(page, OPEN)
            assert page.evaluate(COUNTS) == [0, 0]

        # nothing that the projector's page or its stream were sent tells a name, or a guess before the reveal
        pictures = [request.response().text() for request in projector.answered if "stream" not in request.url]
        assert any(f"{SEATS} of {SEATS}" in text for text in pictures)
        stream = projector_stream.read_all().decode()  # up to its worker's end
        assert stream.count("event: changed") >= SEATS
        secrets = [*names, *map(str, GUESSES), *(f"{guess:,.0f}" for guess in GUESSES)]
        assert not [secret for secret in secrets if secret in stream + "\n".join(pictures)]

        teacher.click("#stage-guesses")
        until(projector, f"document.querySelectorAll('circle').length === {SEATS}")
        assert projector.locator(".measured").count() == 0
        teacher.click("#stage-measured")
        projector.wait_for_selector(".measured")
        assert "measured: 1,500 ms" in projector.locator("svg").text_content()
        teacher.click("#show-intuition")
        projector.wait_for_selector(".intuition")
        assert projector.locator(".intuition tbody tr").all_inner_texts() == ["waiting\t0\t0\t12\t2.7 times"]
        assert not [name for name in names if name in projector.content()]

    # Ctrl-C: no process and no data are left, and the lesson goes on
    processes, run = running.process.children(recursive=True), running.run
    running.process.send_signal(signal.SIGINT)
    wait_for(lambda: not any(one.is_running() for one in processes), WITHIN_S, "the end of every process")
    wait_for(lambda: not run.exists(), WITHIN_S, "the end of the data")
    assert all(seat.process.poll() is None for seat in seats)
