"""./lab bench: what needs no process, one small run, and every contestant alone: is it set up so that it works?"""

import io
import json
import math
import os
import signal
import socket
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from click.testing import CliRunner
from rich.console import Console

from bench import cells, contestants, figures, law, numbers, pages, plan, recorder, records, report, tally
from bench.crew import Crew
from bench.load import bystanders as load_bystanders
from bench.load import readers as load_readers
from bench.load import streams as load_streams
from bench.load.streams import CONNECT_AT_ONCE, dues
from bench.plan import Cell, Law, Plan
from bench.records import Run
from bench.server import Server
from bench.site.feeds import ALL, FEEDS, FILE, due_after, event
from offload_lab.cli.bench import bench
from offload_lab.clients import ping
from offload_lab.clients.http import fetch
from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.errors import LabError, ManifestError, MissingDependencyError, UnknownNameError
from offload_lab.measure.load import percentile
from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.stages.site import make_file
from offload_lab.testing import require

TIMEOUT_S = 30
EVERYBODY = contestants.load_all()
ALONE = [name for name, one in EVERYBODY.items() if one.kind != "floor"]
BRIEF = plan.Timing(idle_s=0.1, quiet_s=1.0, beside_s=1.0, open_within_s=20.0, patience_s=10.0, broadcasts=1)
ABOUT = {
    "plan": "quick",
    "taken": "2026-11-24",
    "contestants": ["ours", "uvicorn", "pushpin"],
    "machine": {"processor": "a slow one", "cores": 2, "memory_mib": 1024, "system": "Linux", "load": 0.1},
    "versions": {"Python": "3.11"},
    "limits": {"descriptors": "1024"},
    "settings": {
        name: {
            "title": name,
            "kind": kind,
            "shape": "one process",
            "advice": [{"setting": "-x", "source": "[its docs]"}],
        }
        for name, kind in (("ours", "ours"), ("uvicorn", "python"), ("pushpin", "server"))
    },
}


def result(**numbers):
    """Of a hold that went well, but for `numbers`."""
    usual = {"wait_p50_ms": 1.0, "wait_p99_ms": 2.0, "wait_worst_ms": 3.0, "idle_p99_ms": 1.0, "late_p50_ms": 1.0}
    usual |= {"late_p99_ms": 4.0, "opened_s": 0.5, "failures": {}, "attempted": 20, "established": 20, "missed": 0}
    usual |= {
        "cpu_s": {"front": 0.01, "events": 0.01},
        "counted_events": 1000,
        "kib_each": {"front": 4.0, "events": 1.0},
    }
    return {**usual, "crews_cpu_s": 0.1, "counted_s": 2.0, "lost": 0, **numbers}


@pytest.fixture
def run(tmp_path):
    return Run.begin(tmp_path / "run.jsonl", ABOUT)


# --- numbers


def test_a_ratio_compares_what_was_measured_in_the_same_round():
    ours = {1: result(wait_p99_ms=2.0), 2: result(wait_p99_ms=4.0), 3: result(wait_p99_ms=1.0)}
    peer = {1: result(wait_p99_ms=4.0), 2: result(wait_p99_ms=20.0), 4: result(wait_p99_ms=1000.0)}
    assert numbers.ratios(peer, ours, numbers.WAIT_P99) == numbers.Spread(3.5, 2.0, 5.0)


def test_what_never_came_is_for_ever_and_what_was_not_measured_is_no_number():
    assert numbers.WAIT_P99.of(result(wait_p99_ms=None)) == math.inf
    assert math.isnan(numbers.CPU.of(result(counted_events=0)))
    assert math.isnan(numbers.OPENED.of(result(failures={"no answer in time": 1})))
    assert math.isnan(numbers.ratio(1.0, 0.0))
    assert math.isnan(numbers.Spread.of([math.nan]).middle)


def test_cpu_and_memory_are_those_of_all_processes_together():
    assert numbers.CPU.of(result()) == pytest.approx(20.0)  # ms for 1,000 events
    assert numbers.MEMORY.of(result()) == 5.0


def test_failures_count_streams_not_opened_streams_lost_and_events_too_late():
    assert numbers.failures(result(failures={"answered 502": 3, "refused": 1}, lost=2, missed=10)) == 16


@pytest.mark.parametrize("feed", [*FEEDS, ALL])
def test_a_feed_speaks_at_even_distances_whenever_one_begins_to_listen(feed):
    first = due_after(feed, 1234.567)
    moments = [first := due_after(feed, first) for _ in range(1000)]
    steps = {round(after - before, 6) for before, after in pairwise(moments)}
    assert steps == {2.0 if feed == ALL else 1.0}
    assert due_after(feed, moments[-1] - 0.01) == moments[-1]


def test_nothing_measured_has_no_percentile_and_a_cell_without_bystanders_fails():
    assert math.isnan(percentile([], 99))
    assert percentile([3.0], 1) == percentile([3.0], 100) == 3.0
    for idle, waits, when in (([], [1.0], "before it began"), ([1.0], [], "beside it"), ([], [], "before it began")):
        with pytest.raises(LabError, match=f"no bystander asked {when}"):
            tally.bystanders(idle, waits)
    assert tally.lateness([], 5) == {
        "events": 0, "missed": 5, "late_p50_ms": None, "late_p99_ms": None, "late_worst_ms": None,
    }  # fmt: skip


def test_a_point_of_a_run_in_which_nothing_happened_is_no_number():
    still = result(counted_events=0, opened_s=0.0, first_ms=None, last_ms=None, slab_kib_each=1.0)
    point = law.point(100, [still])
    assert all(math.isnan(value) for value in (point.front_us, point.event_us, point.opened_per_s))
    assert point.last_ms == math.inf


def test_pages_of_an_unfinished_run_say_what_was_not_measured(run):
    run.about["contestants"] = ["ours"]
    assert "| `ours` | 0 | not measured | not measured |" in pages.storms(run)
    run.add(Cell("ours", "broadcast", 1000), result(slab_kib_each=1.0, first_ms=1.0, last_ms=2.0))
    assert pages.fits(run).count("\n") == 1, "no line through one point"


@pytest.fixture
def crew():
    with Crew("streams") as crew:
        yield crew


def answers_one_by_one(listener, count):
    """Accept `count` connections and answer each; their sockets."""
    sockets = [listener.accept()[0] for _ in range(count)]
    for one in sockets:
        one.recv(65536)
        one.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    return sockets


def test_a_crew_opens_a_storm_and_still_answers(crew):
    count = 3 * CONNECT_AT_ONCE + 7
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener, ExitStack() as exits:
        listener.settimeout(TIMEOUT_S)
        words = {"source": "127.0.0.2", "requests": ["GET / HTTP/1.1\r\n\r\n"], "count": count, "at_once": count}
        crew.ask("open", port=listener.getsockname()[1], **words)
        for one in answers_one_by_one(listener, count):
            exits.enter_context(one)
        wait_for(lambda: crew.ask("status")["established"] == count, TIMEOUT_S, "all of them")
        said = crew.ask("status")
        assert (said["waiting"], said["failures"], said["open"]) == (0, {}, count)
        assert said["last"] > 0


@pytest.fixture
def no_questions(monkeypatch):
    """For a crew in this process: nobody asks it anything."""
    ours, theirs = os.pipe()
    monkeypatch.setattr("bench.load.loop.STDIN", ours)
    yield
    os.close(ours)
    os.close(theirs)


def test_a_storm_is_opened_in_parts_between_which_what_came_is_read(no_questions):
    storm, count = load_streams.Crew(), 3 * CONNECT_AT_ONCE
    with storm.epoll, socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        storm.do_open(listener.getsockname()[1], "127.0.0.2", ["GET /"], count, count)
        assert (storm.waiting, len(storm.streams)) == (CONNECT_AT_ONCE, CONNECT_AT_ONCE)
        storm.do_give_up()


def test_connections_that_cannot_even_begin_are_counted_and_end_no_crew(crew):
    """An address that is not ours cannot be bound."""
    words = {"source": "192.0.2.1", "requests": ["GET / HTTP/1.1\r\n\r\n"], "count": 3, "at_once": 2}
    crew.ask("open", port=1, **words)
    wait_for(lambda: sum(crew.ask("status")["failures"].values()) == 3, TIMEOUT_S, "three failures")


def test_bystanders_and_readers_without_a_descriptor_are_not_served_and_end_no_crew(monkeypatch, no_questions):
    def no_descriptor(*_, **__):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(load_bystanders, "connecting", no_descriptor)
    monkeypatch.setattr(load_readers, "connecting", no_descriptor)
    bystanders, readers = load_bystanders.Crew(), load_readers.Crew()
    bystanders.do_come(1, "GET /ping HTTP/1.1\r\n\r\n", 60.0)
    assert bystanders.do_waits() == {"asked": 1, "waits": []}
    readers.do_open(1, "GET /file HTTP/1.1\r\n\r\n", 2, 1.0)
    assert readers.do_status() == {"received": 0, "states": {"refused": 2}}
    bystanders.epoll.close()
    readers.epoll.close()


def test_half_an_answer_of_a_crew_is_not_waited_for_for_ever(crew, monkeypatch):
    monkeypatch.setattr("bench.crew.ANSWER_S", 0.2)
    ours, theirs = os.pipe()
    os.write(theirs, b'{"established": ')
    with open(ours, "rb", buffering=0) as half, monkeypatch.context() as patch:
        patch.setattr(crew._process, "stdout", half)
        with pytest.raises(LabError, match=r"asked to cpu and said nothing whole for 0\.2 s"):
            crew.ask("cpu")
    os.close(theirs)


def test_a_crew_that_does_not_end_is_ended(monkeypatch):
    monkeypatch.setattr("bench.crew.END_S", 5.0)
    with Crew("streams") as crew:
        crew.ask("cpu")
        os.kill(crew._process.pid, signal.SIGSTOP)
    assert crew._process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("need", ['install = "x"', 'program = "x"', 'programme = "x"\ninstall = "y"'])
def test_a_need_of_a_contestant_that_names_nothing_is_named(tmp_path, need):
    text = (contestants.FOLDER / "nchan" / "contestant.toml").read_text()
    (tmp_path / "contestant.toml").write_text(text.replace("[[needs]]", f"[[needs]]\n{need}\n[[needs]]", 1))
    with pytest.raises(ManifestError, match="needs a program, or one of module, file, engine and install"):
        contestants.Contestant.load(tmp_path)


def test_an_event_cut_anywhere_is_noted_once():
    stream = event("3", 1234.3) + event("3", 1235.3)
    for cut in range(len(stream)):
        first, rest = dues(stream[:cut])
        second, left = dues(rest + stream[cut:])
        assert first + second == ["1234.3", "1235.3"]
        assert left == b""


def test_a_line_is_found_again():
    assert law.line([(x, 3 + 2 * x) for x in (1, 2, 5, 9)]) == pytest.approx((3, 2))
    with pytest.raises(ValueError, match="two different"):
        law.line([(1, 2), (1, 3)])


def test_names_beside_a_picture_are_moved_apart():
    assert figures.apart([0.1, 0.5], 0.05) == [0.1, 0.5]
    assert figures.apart([0.2, 0.2, 0.2], 0.1) == pytest.approx([0.2, 0.3, 0.4])
    assert figures.apart([0.95, 0.97, 1.2], 0.1) == pytest.approx([0.8, 0.9, 1.0])


# --- plan and file


def test_contestants_take_turns():
    two = [EVERYBODY["ours"], EVERYBODY["nginx"]]
    order = Plan(rounds=2, timing=BRIEF, sizes=(("hold", 10), ("storm", 20))).cells(two)
    assert [(cell.round, cell.workload, cell.contestant) for cell in order] == [
        (turn, workload, name) for turn in (1, 2) for workload in ("hold", "storm") for name in ("ours", "nginx")
    ]


def test_a_contestant_gets_no_work_that_it_does_not_take():
    files = Plan(rounds=1, timing=BRIEF, sizes=(("download", 10),)).cells(EVERYBODY.values())
    assert not {"nchan", "pushpin", "floor"} & {cell.contestant for cell in files}


def test_the_law_is_about_ours():
    it = Law(rounds=1, timing=BRIEF, sizes=(("broadcast", 10),))
    chosen = [one for one in EVERYBODY.values() if it.takes(one, ())]
    assert {one.name for one in chosen} == {"ours", "ours_built", "ours_passed"}
    assert {cell.threads for cell in it.cells(chosen)} == {1, 2, 4, 8}


def test_who_did_not_open_all_of_fewer_streams_is_not_tried_with_more(run):
    run.add(Cell("uvicorn", "hold", 20), result(failures={"no answer in time": 1}))
    run.add(Cell("ours", "hold", 20), result())
    assert "all of 20" in recorder.hopeless(run, Cell("uvicorn", "hold", 40), 10)["failed"]
    for other in (Cell("ours", "hold", 40), Cell("uvicorn", "hold", 40, round=2), Cell("uvicorn", "storm", 40)):
        assert recorder.hopeless(run, other, 10) is None


def test_who_would_take_too_long_for_more_streams_is_not_tried(run):
    run.add(Cell("uvicorn", "hold", 20), result(opened_s=6.0))
    assert "took 6 s" in recorder.hopeless(run, Cell("uvicorn", "hold", 40), 10)["failed"]
    assert recorder.hopeless(run, Cell("uvicorn", "hold", 30), 10) is None
    run.add(Cell("uvicorn", "hold", 40), result(opened_s=7.0))
    assert recorder.hopeless(run, Cell("uvicorn", "hold", 50), 10) is None


def test_a_run_that_was_stopped_goes_on_where_it_was(run):
    wanted = [
        Cell("ours", "hold", 20),
        Cell("uvicorn", "hold", 20),
        Cell("pushpin", "hold", 20),
        Cell("ours", "hold", 40),
    ]
    run.add(wanted[0], result())
    run.add(wanted[1], {"failed": "it fell over"})
    run.add(wanted[2], {"missing": "pushpin is missing"})
    with run.path.open("a") as file:
        file.write('{"cell": {"contestant": "ou')  # the power went
    again = Run.load(run.path)
    assert again.left(wanted) == wanted[1:]  # what came to nothing is tried again, too
    again.add(wanted[1], result())
    assert Run.load(run.path).left(wanted) == wanted[2:]


@pytest.mark.parametrize("text", ["", "[]\n", '{"schema": 99}\n', "no json\n", '{"schema": 1}\n{"cell": {}}\n'])
def test_a_file_that_is_no_run_is_named(tmp_path, text):
    (tmp_path / "other.jsonl").write_text(text)
    with pytest.raises(LabError, match=r"other\.jsonl"):
        Run.load(tmp_path / "other.jsonl")


# --- the report


def shown(run, width=100):
    console = Console(width=width, record=True, highlight=False, file=io.StringIO())
    for part in [*report.settings(run), *report.whole(run, width)]:
        console.print(part, markup=False)
    return console.export_text()


@pytest.fixture
def mixed(run):
    """A round in which one peer was better in one thing and worse in another, and one was not there."""
    run.add(Cell("ours", "hold", 20), result())
    run.add(Cell("uvicorn", "hold", 20), result(wait_p99_ms=20.0, late_p99_ms=1.0, failures={"answered 502": 2}))
    run.add(Cell("pushpin", "hold", 20), {"missing": "pushpin is missing; install it with: apt-get install pushpin"})
    return run


def test_a_contestant_that_is_missing_is_a_row_that_says_why(mixed):
    [row] = [line for line in shown(mixed).splitlines() if line.split()[:2] == ["pushpin", "-"]]
    assert row.split() == ["pushpin"] + ["-"] * len(numbers.MEASURES["hold"])
    assert "apt-get install pushpin" in shown(mixed)
    assert "2 answered 502" in shown(mixed)


def test_who_is_better_and_who_is_worse_is_said_in_the_same_words(mixed):
    said = shown(mixed)
    assert "better than ours: uvicorn (late p99 0.25 times)" in said
    assert "worse than ours: uvicorn (wait p99 10.0 times)" in said


def test_the_built_engine_is_what_others_are_compared_with_where_it_took_part(mixed):
    mixed.about["contestants"].append("ours_built")
    mixed.about["settings"]["ours_built"] = mixed.about["settings"]["ours"]
    mixed.add(Cell("ours_built", "hold", 20), result(wait_p99_ms=1.0))
    assert "worse than ours_built: uvicorn (wait p99 20.0 times)" in shown(mixed)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_it_fits_the_terminal_and_nothing_is_cut_off(mixed, width):
    lines = shown(mixed, width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    assert "[its docs]" in "".join(lines)  # brackets are no markup


@pytest.mark.parametrize("workload", numbers.MEASURES)
def test_what_is_compared_is_also_shown(workload):
    assert set(numbers.COMPARED[workload]) <= set(numbers.MEASURES[workload])


# --- the folders


def test_a_wrong_name_is_answered_with_the_nearest_and_nothing_is_begun(monkeypatch, tmp_path):
    monkeypatch.setattr(recorder, "RESULTS", tmp_path)
    error = CliRunner().invoke(bench, ["uvicron"]).exception
    assert isinstance(error, UnknownNameError)
    assert error.nearest == "uvicorn"
    assert list(tmp_path.iterdir()) == []


def test_a_broken_contestant_is_named(tmp_path):
    (tmp_path / "contestant.toml").write_text("kind = 'python'\ncolour = 'red'\n")
    with pytest.raises(ManifestError, match=r"contestant\.toml.*colour"):
        contestants.Contestant.load(tmp_path)


@pytest.mark.parametrize("name", EVERYBODY)
def test_every_setting_that_differs_has_a_source_and_every_package_is_pinned(name):
    one = EVERYBODY[name]
    assert one.advice or one.kind == "floor"
    assert all(set(advice) == {"setting", "source"} for advice in one.advice)
    assert set(one.workloads) <= set(numbers.MEASURES)
    lock = (ROOT / "requirements" / "bench.lock").read_text()
    assert all(f"\n{need['module']}==" in lock for need in one.needs if "module" in need)


# --- on real processes


@pytest.fixture(scope="module")
def prepared():
    with cells.prepared() as folder:
        make_file(folder / FILE, mib=1)  # the contest's own has 64
        yield folder


def a_stream(server, visitor, open_ones):
    """One that is open, and its first event.

    Tried until there is one: Pushpin, just started, drops or forgets those who come before its parts have met.
    """
    opened = []

    def opens():
        with suppress(OSError):
            client = SseClient(server.port, "/subscribe?feed=3", cookie=visitor.cookie, timeout_s=3)
            open_ones.enter_context(client)
            opened.append((client, client.next()))
        return bool(opened)

    wait_for(opens, TIMEOUT_S, "a stream")
    return opened[0]


@pytest.mark.full
@pytest.mark.parametrize("name", ALONE)
def test_every_contestant_asks_django_and_carries_what_it_said_yes_to(name, prepared):
    contestant = EVERYBODY[name]
    try:
        contestant.check()
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    with Server(contestant, Cell(name, "hold", 20), prepared) as server:
        assert fetch(server.port, "/subscribe?feed=3").status == 403
        visitor = Session(server.port)
        visitor.log_in()
        with ExitStack() as open_ones:
            stream, first = a_stream(server, visitor, open_ones)
            told = [json.loads(one.data) for one in (first, stream.next())]
            assert [one["feed"] for one in told] == ["3", "3"]
            assert told[1]["due"] == pytest.approx(told[0]["due"] + 1)
            assert ping(server.port, TIMEOUT_S).status == 200
        if "download" in contestant.workloads:
            parcel = (prepared / FILE).read_bytes()
            assert visitor.ask("GET", "/file").body == parcel
            assert fetch(server.port, "/file").status == 403


@pytest.mark.full
def test_a_contestant_that_falls_over_is_a_result_that_says_why(prepared):
    broken = replace(EVERYBODY["floor"], process=[{"name": "floor", "command": ["@python@", "-c", "exit('no luck')"]}])
    said = cells.measure(Cell("floor", "hold", 20), broken, BRIEF, prepared)
    assert "no luck" in said["failed"]
    absent = replace(broken, needs=[{"file": "/no/such/file", "install": "make one"}])
    assert "make one" in cells.measure(Cell("floor", "hold", 20), absent, BRIEF, prepared)["missing"]


@pytest.mark.full
def test_more_streams_than_descriptors_are_not_even_tried(prepared):
    limit = cells.raise_limits()
    said = cells.measure(Cell("ours", "hold", limit), EVERYBODY["ours"], BRIEF, prepared)
    assert f"the limit is {limit:,}" in said["failed"]


@pytest.mark.full
def test_a_small_run_from_the_command_to_the_pictures_and_again(monkeypatch, tmp_path):
    """Two contestants, 20 streams, a second: all of them open, all events there, nothing measured twice."""
    monkeypatch.setattr(recorder, "RESULTS", tmp_path)
    monkeypatch.setitem(plan.PLANS, "quick", Plan(rounds=1, timing=BRIEF, sizes=(("hold", 20),)))
    chosen = {name: EVERYBODY[name] for name in ("ours", "floor")}
    run = recorder.new("quick", chosen)
    seen = [cell.contestant for *_, cell, it in recorder.go_on(run, chosen) if it is not None]
    assert seen == ["ours", "floor"]
    for it in run.results.values():
        assert records.has_numbers(it), it
        assert (it["established"], it["failures"], it["lost"]) == (20, {}, 0)
        assert it["events"] == 40
        assert it["asked"] > 0
        assert it["given_up"] == 0
        assert sum(it["cpu_s"].values()) > 0
    again = Run.load(run.path)
    assert list(recorder.go_on(again, chosen)) == []
    said = CliRunner().invoke(bench, ["--resume", str(run.path)])
    assert said.exit_code == 0, said.output
    assert {path.name for path in (tmp_path / run.path.stem).glob("*.svg")} >= {"wait-20.svg", "memory-20.svg"}
