"""./lab bench: what needs no process, one small run, and every server under test alone."""

import io
import json
import math
import os
import resource
import signal
import socket
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from click.testing import CliRunner
from rich.console import Console

from bench import (
    aggregate,
    axes,
    figures,
    load_generator,
    numbers,
    pages,
    peer_blocks,
    plan,
    recorder,
    records,
    report,
    runner,
    scaling,
    specs,
)
from bench.load import probes as load_probes
from bench.load import readers as load_readers
from bench.load import streams as load_streams
from bench.load.streams import CONNECT_AT_ONCE, due_times
from bench.load_generator import LoadProcess
from bench.plan import Cell, Plan, ScalingPlan
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
SPECS = specs.load_all()
ALONE = [name for name, spec in SPECS.items() if spec.kind != "baseline"]
BRIEF = plan.Timing(idle_s=0.1, quiet_s=1.0, beside_s=1.0, open_within_s=20.0, probe_wait_s=10.0, broadcasts=1)
ABOUT = {
    "plan": "quick",
    "taken": "2026-11-24",
    "servers": ["offload", "uvicorn", "pushpin"],
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
        for name, kind in (("offload", "offload"), ("uvicorn", "python"), ("pushpin", "proxy"))
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
    return {**usual, "load_cpu_s": 0.1, "counted_s": 2.0, "lost": 0, **numbers}


@pytest.fixture
def run(tmp_path):
    return Run.begin(tmp_path / "run.jsonl", ABOUT)


# --- numbers


def test_a_ratio_compares_results_of_the_same_round():
    base = {1: result(wait_p99_ms=2.0), 2: result(wait_p99_ms=4.0), 3: result(wait_p99_ms=1.0)}
    peer = {1: result(wait_p99_ms=4.0), 2: result(wait_p99_ms=20.0), 4: result(wait_p99_ms=1000.0)}
    assert numbers.ratios(peer, base, numbers.WAIT_P99) == numbers.Spread(3.5, 2.0, 5.0)


def test_null_is_infinite_and_what_was_not_measured_is_nan():
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
def test_a_feed_publishes_at_even_intervals(feed):
    first = due_after(feed, 1234.567)
    moments = [first := due_after(feed, first) for _ in range(1000)]
    steps = {round(after - before, 6) for before, after in pairwise(moments)}
    assert steps == {2.0 if feed == ALL else 1.0}
    assert due_after(feed, moments[-1] - 0.01) == moments[-1]


def test_no_samples_have_no_percentile_and_no_probes_are_an_error():
    assert math.isnan(percentile([], 99))
    assert percentile([3.0], 1) == percentile([3.0], 100) == 3.0
    for idle, waits, when in (([], [1.0], "before"), ([1.0], [], "during"), ([], [], "before")):
        with pytest.raises(LabError, match=f"no probe was sent {when} the workload"):
            aggregate.bystanders(idle, waits)
    assert aggregate.lateness([], 5) == {
        "events": 0, "missed": 5, "late_p50_ms": None, "late_p99_ms": None, "late_worst_ms": None,
    }  # fmt: skip


def test_a_point_without_events_is_nan():
    still = result(counted_events=0, opened_s=0.0, first_ms=None, last_ms=None, slab_kib_each=1.0)
    point = scaling.point(100, [still])
    assert all(math.isnan(value) for value in (point.front_us, point.event_us, point.opened_per_s))
    assert point.last_ms == math.inf


def test_pages_of_an_unfinished_run_say_not_measured(run):
    run.about["servers"] = ["offload"]
    assert "| `offload` | 0 | not measured | not measured |" in pages.storms(run)
    run.add(Cell("offload", "broadcast", 1000), result(slab_kib_each=1.0, first_ms=1.0, last_ms=2.0))
    assert pages.fits(run).count("\n") == 1, "no line through one point"


@pytest.fixture
def streams():
    with LoadProcess("streams") as streams:
        yield streams


def answers_one_by_one(listener, count):
    """Accept `count` connections and answer each; their sockets."""
    sockets = [listener.accept()[0] for _ in range(count)]
    for connection in sockets:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    return sockets


def test_a_load_process_opens_a_storm_and_still_replies(streams):
    count = 3 * CONNECT_AT_ONCE + 7
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener, ExitStack() as exits:
        listener.settimeout(TIMEOUT_S)
        arguments = {"source": "127.0.0.2", "requests": ["GET / HTTP/1.1\r\n\r\n"], "count": count, "at_once": count}
        streams.ask("open", port=listener.getsockname()[1], **arguments)
        for connection in answers_one_by_one(listener, count):
            exits.enter_context(connection)
        wait_for(lambda: streams.ask("status")["established"] == count, TIMEOUT_S, "all of them")
        status = streams.ask("status")
        assert (status["waiting"], status["failures"], status["open"]) == (0, {}, count)
        assert status["last"] > 0


@pytest.fixture
def no_commands(monkeypatch):
    """For a load process that runs inside this one: its standard input stays silent."""
    reader, writer = os.pipe()
    monkeypatch.setattr("bench.load.loop.STDIN", reader)
    yield
    os.close(reader)
    os.close(writer)


def test_a_storm_is_opened_in_batches(no_commands):
    storm, count = load_streams.Streams(), 3 * CONNECT_AT_ONCE
    with storm.epoll, socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        storm.do_open(listener.getsockname()[1], "127.0.0.2", ["GET /"], count, count)
        assert (storm.waiting, len(storm.streams)) == (CONNECT_AT_ONCE, CONNECT_AT_ONCE)
        storm.do_give_up()


def test_connections_that_cannot_begin_are_counted_as_failures(streams):
    """An address of another machine cannot be bound."""
    arguments = {"source": "192.0.2.1", "requests": ["GET / HTTP/1.1\r\n\r\n"], "count": 3, "at_once": 2}
    streams.ask("open", port=1, **arguments)
    wait_for(lambda: sum(streams.ask("status")["failures"].values()) == 3, TIMEOUT_S, "three failures")


def test_probes_and_readers_survive_a_lack_of_descriptors(monkeypatch, no_commands):
    def no_descriptor(*_, **__):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(load_probes, "connecting", no_descriptor)
    monkeypatch.setattr(load_readers, "connecting", no_descriptor)
    probes, readers = load_probes.Probes(), load_readers.Readers()
    probes.do_start(1, "GET /ping HTTP/1.1\r\n\r\n", 60.0)
    assert probes.do_waits() == {"sent": 1, "waits": []}
    readers.do_open(1, "GET /file HTTP/1.1\r\n\r\n", 2, 1.0)
    assert readers.do_status() == {"received": 0, "states": {"refused": 2}}
    probes.epoll.close()
    readers.epoll.close()


def test_half_a_reply_is_not_waited_for_for_ever(streams, monkeypatch):
    monkeypatch.setattr("bench.load_generator.REPLY_S", 0.2)
    reader, writer = os.pipe()
    os.write(writer, b'{"established": ')
    with open(reader, "rb", buffering=0) as half, monkeypatch.context() as patch:
        patch.setattr(streams._process, "stdout", half)
        with pytest.raises(LabError, match=r"sent no whole reply to cpu within 0\.2 s"):
            streams.ask("cpu")
    os.close(writer)


@pytest.mark.full
def test_a_load_process_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr("bench.load_generator.END_S", 5.0)
    with LoadProcess("streams") as streams:
        streams.ask("cpu")
        os.kill(streams._process.pid, signal.SIGSTOP)
    assert streams._process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("need", ['install = "x"', 'program = "x"', 'programme = "x"\ninstall = "y"'])
def test_an_incomplete_need_is_named(tmp_path, need):
    text = (specs.FOLDER / "nchan" / "server.toml").read_text()
    (tmp_path / "server.toml").write_text(text.replace("[[needs]]", f"[[needs]]\n{need}\n[[needs]]", 1))
    with pytest.raises(ManifestError, match="needs a program, or one of module, file, engine and install"):
        specs.ServerSpec.load(tmp_path)


def test_an_event_cut_anywhere_is_noted_once():
    stream = event("3", 1234.3) + event("3", 1235.3)
    for cut in range(len(stream)):
        first, rest = due_times(stream[:cut])
        second, left = due_times(rest + stream[cut:])
        assert first + second == ["1234.3", "1235.3"]
        assert left == b""


def test_a_line_is_fitted():
    assert scaling.line([(x, 3 + 2 * x) for x in (1, 2, 5, 9)]) == pytest.approx((3, 2))
    with pytest.raises(ValueError, match="constant"):
        scaling.line([(1, 2), (1, 3)])


def test_names_beside_a_picture_do_not_overlap():
    assert axes.apart([0.1, 0.5], 0.05) == [0.1, 0.5]
    assert axes.apart([0.2, 0.2, 0.2], 0.1) == pytest.approx([0.2, 0.3, 0.4])
    assert axes.apart([0.95, 0.97, 1.2], 0.1) == pytest.approx([0.8, 0.9, 1.0])


# --- plan and file


def test_servers_take_turns():
    two = [SPECS["offload"], SPECS["nginx"]]
    order = Plan(rounds=2, timing=BRIEF, sizes=(("hold", 10), ("storm", 20))).cells(two, 2)
    assert [(cell.round, cell.workload, cell.server) for cell in order] == [
        (turn, workload, name) for turn in (1, 2) for workload in ("hold", "storm") for name in ("offload", "nginx")
    ]


def test_a_server_gets_only_its_workloads():
    files = Plan(rounds=1, timing=BRIEF, sizes=(("download", 10),)).cells(SPECS.values(), 2)
    assert not {"nchan", "pushpin", "baseline"} & {cell.server for cell in files}


def test_scaling_measures_the_offload_servers_only():
    it = ScalingPlan(rounds=1, timing=BRIEF, sizes=(("broadcast", 10),))
    chosen = [spec for spec in SPECS.values() if it.includes(spec, ())]
    assert {spec.name for spec in chosen} == {"offload", "offload_patched", "passed"}
    assert {cell.threads for cell in it.cells(chosen, 2)} == {1, 2, 4, 8}


def test_a_server_that_failed_with_fewer_streams_is_not_tried_with_more(run):
    run.add(Cell("uvicorn", "hold", 20), result(failures={"no answer in time": 1}))
    run.add(Cell("offload", "hold", 20), result())
    assert "all of 20" in recorder.hopeless(run, Cell("uvicorn", "hold", 40), 10)["failed"]
    for other in (Cell("offload", "hold", 40), Cell("uvicorn", "hold", 40, round=2), Cell("uvicorn", "storm", 40)):
        assert recorder.hopeless(run, other, 10) is None


def test_a_server_that_would_take_too_long_is_not_tried(run):
    run.add(Cell("uvicorn", "hold", 20), result(opened_s=6.0))
    assert "took 6 s" in recorder.hopeless(run, Cell("uvicorn", "hold", 40), 10)["failed"]
    assert recorder.hopeless(run, Cell("uvicorn", "hold", 30), 10) is None
    run.add(Cell("uvicorn", "hold", 40), result(opened_s=7.0))
    assert recorder.hopeless(run, Cell("uvicorn", "hold", 50), 10) is None


def test_a_stopped_run_is_resumed_where_it_was(run):
    wanted = [
        Cell("offload", "hold", 20),
        Cell("uvicorn", "hold", 20),
        Cell("pushpin", "hold", 20),
        Cell("offload", "hold", 40),
    ]
    run.add(wanted[0], result())
    run.add(wanted[1], {"failed": "it crashed"})
    run.add(wanted[2], {"missing": "pushpin is missing"})
    with run.path.open("a") as file:
        file.write('{"cell": {"server": "off')  # a power cut
    again = Run.load(run.path)
    assert again.left(wanted) == wanted[1:]  # failed and missing cells are tried again
    again.add(wanted[1], result())
    assert Run.load(run.path).left(wanted) == wanted[2:]


@pytest.mark.parametrize("text", ["", "[]\n", '{"schema": 99}\n', "no json\n", '{"schema": 1}\n{"cell": {}}\n'])
def test_a_file_that_is_no_recording_is_named(tmp_path, text):
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
    """A round in which one peer was better in one number and worse in another, and one was missing."""
    run.add(Cell("offload", "hold", 20), result())
    run.add(Cell("uvicorn", "hold", 20), result(wait_p99_ms=20.0, late_p99_ms=1.0, failures={"answered 502": 2}))
    run.add(Cell("pushpin", "hold", 20), {"missing": "pushpin is missing; install it with: apt-get install pushpin"})
    return run


def test_a_missing_server_is_a_row_that_says_why(mixed):
    [row] = [line for line in shown(mixed).splitlines() if line.split()[:2] == ["pushpin", "-"]]
    assert row.split() == ["pushpin"] + ["-"] * len(numbers.MEASURES["hold"])
    assert "apt-get install pushpin" in shown(mixed)
    assert "2 answered 502" in shown(mixed)


def test_better_and_worse_are_told_in_the_same_words(mixed):
    text = shown(mixed)
    assert "better than offload: uvicorn (late p99 0.25 times)" in text
    assert "worse than offload: uvicorn (wait p99 10.0 times)" in text


def test_the_patched_uwsgi_is_the_reference_where_it_was_measured(mixed):
    mixed.about["servers"].append("offload_patched")
    mixed.about["settings"]["offload_patched"] = mixed.about["settings"]["offload"]
    mixed.add(Cell("offload_patched", "hold", 20), result(wait_p99_ms=1.0))
    assert "worse than offload_patched: uvicorn (wait p99 20.0 times)" in shown(mixed)


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_report_fits_the_terminal(mixed, width):
    lines = shown(mixed, width).splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    assert "[its docs]" in "".join(lines)  # brackets are no markup


@pytest.mark.parametrize("workload", numbers.MEASURES)
def test_compared_numbers_are_also_shown(workload):
    assert set(numbers.COMPARED[workload]) <= set(numbers.MEASURES[workload])


def test_a_workers_run_has_as_many_processes_as_cores_and_up_to_four_that_are_blocked():
    cells = list(plan.PLANS["workers"].cells(SPECS.values(), 8))
    assert {(cell.workers, cell.backends) for cell in cells if cell.workload == "hold"} == {(8, 8)}
    assert {cell.workers for cell in cells if cell.workload == "poison"} == {1, 2, 4}
    assert {SPECS[cell.server].kind for cell in cells if cell.workload == "poison"} == {"offload", "proxy"}


def test_a_table_of_poison_has_a_row_for_each_number_of_workers(run):
    for workers, wait_ms in ((1, 2000.0), (2, 5.0)):
        run.add(Cell("offload", "poison", 10, workers=workers), result(wait_p99_ms=wait_ms, late_worst_ms=1.0))
    rows = [line for line in peer_blocks.poisoned(run, "10").splitlines() if line.startswith("| `offload`")]
    assert [row.split("|")[2:6:3] for row in rows] == [[" 1 ", " 2,000 "], [" 2 ", " 5 "]]


def test_streams_are_shared_by_the_processes_that_hold_them():
    assert load_generator.stream_processes(4000) == 2
    assert load_generator.stream_processes(50_000) == 4
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    runner.check_descriptors(Cell("passed", "hold", 2 * (limit - 200), backends=2), SPECS["passed"])
    runner.check_descriptors(Cell("offload", "hold", limit - 200, workers=2), SPECS["offload"])
    with pytest.raises(LabError, match="descriptors in one process"):
        runner.check_descriptors(Cell("passed", "hold", 2 * limit, workers=4), SPECS["passed"])


def test_what_the_most_streams_reached_is_shown_with_what_stopped_it(run):
    run.add(Cell("offload", "hold", 100, workers=4, backends=4), {"failed": "the limit is 20"})
    run.add(Cell("offload", "hold", 50, workers=4, backends=4), result(established=48, failures={"refused": 2}))
    first, second = peer_blocks.most(run).splitlines()[2:]
    assert first.startswith("| `offload`, 4 workers, 4 backends | 100 | - |")
    assert first.endswith("| the limit is 20 |")
    assert "| 48 |" in second
    assert second.endswith("| 2 refused |")


def test_a_line_that_stops_says_why(run):
    for streams, wait_ms in ((100, 2.0), (1000, 5.0), (4000, None)):
        run.add(Cell("offload", "hold", streams), result(wait_p99_ms=wait_ms))
        run.add(Cell("uvicorn", "hold", streams), result(wait_p99_ms=1.0))
    run.add(Cell("pushpin", "hold", 100), result())
    run.add(Cell("pushpin", "hold", 1000), {"failed": "needs 9 descriptors in one process"})
    figure = figures.growth(run, "hold", [100, 1000, 4000], numbers.WAIT_P99)
    names = {text.get_text() for text in figure.axes[0].texts}
    cross = "\N{HEAVY MULTIPLICATION X}"
    assert names == {f"offload {cross} never from 4,000", "uvicorn", f"pushpin {cross} too few descriptors for 1,000"}


@pytest.mark.parametrize(("most_ms", "scale"), [(10.0, "linear"), (2000.0, "log")])
def test_values_that_span_decades_are_on_a_logarithmic_scale(run, most_ms, scale):
    run.add(Cell("offload", "hold", 100), result(wait_p99_ms=2.0))
    run.add(Cell("uvicorn", "hold", 100), result(wait_p99_ms=most_ms))
    figure = figures.bars(run, "hold", 100, numbers.WAIT_P99)
    assert figure.axes[0].get_xscale() == scale


# --- the folders


def test_an_unknown_name_is_answered_with_the_nearest(monkeypatch, tmp_path):
    monkeypatch.setattr(recorder, "RESULTS", tmp_path)
    error = CliRunner().invoke(bench, ["uvicron"]).exception
    assert isinstance(error, UnknownNameError)
    assert error.nearest == "uvicorn"
    assert list(tmp_path.iterdir()) == []


def test_a_broken_server_toml_is_named(tmp_path):
    (tmp_path / "server.toml").write_text("kind = 'python'\ncolour = 'red'\n")
    with pytest.raises(ManifestError, match=r"server\.toml.*colour"):
        specs.ServerSpec.load(tmp_path)


@pytest.mark.parametrize("name", SPECS)
def test_every_setting_has_a_source_and_every_package_is_pinned(name):
    spec = SPECS[name]
    assert spec.advice or spec.kind == "baseline"
    assert all(set(advice) == {"setting", "source"} for advice in spec.advice)
    assert set(spec.workloads) <= set(numbers.MEASURES)
    lock = (ROOT / "requirements" / "bench.lock").read_text()
    assert all(f"\n{need['module'].replace('_', '-')}==" in lock for need in spec.needs if "module" in need)


# --- on real processes


@pytest.fixture(scope="module")
def prepared():
    with runner.prepared() as folder:
        make_file(folder / FILE, mib=1)  # the bench's own has 64
        yield folder


def open_stream(server, session, exits):
    """An open stream and its first event.

    Retried: Pushpin drops or forgets the streams that arrive before its processes have connected to each other.
    """
    opened = []

    def opens():
        with suppress(OSError):
            client = SseClient(server.port, "/subscribe?feed=3", cookie=session.cookie, timeout_s=3)
            exits.enter_context(client)
            while not (first := client.next()).data:
                pass  # django-eventstream's stream-open
            opened.append((client, first))
        return bool(opened)

    wait_for(opens, TIMEOUT_S, "a stream")
    return opened[0]


@pytest.mark.full
@pytest.mark.parametrize("name", ALONE)
def test_every_server_streams_what_django_authorised(name, prepared):
    spec = SPECS[name]
    try:
        spec.check()
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    with Server(spec, Cell(name, "hold", 20), prepared) as server:
        assert fetch(server.port, "/subscribe?feed=3").status == 403
        session = Session(server.port)
        session.log_in()
        with ExitStack() as exits:
            stream, first = open_stream(server, session, exits)
            events = [json.loads(message.data) for message in (first, stream.next())]
            assert [event["feed"] for event in events] == ["3", "3"]
            assert events[1]["due"] == pytest.approx(events[0]["due"] + 1)
            assert ping(server.port, TIMEOUT_S).status == 200
        if "download" in spec.workloads:
            parcel = (prepared / FILE).read_bytes()
            assert session.ask("GET", "/file").body == parcel
            assert fetch(server.port, "/file").status == 403


@pytest.mark.full
def test_django_keeps_a_thread_for_each_async_stream(prepared):
    """docs/comparison.md: and an outer context makes eight do."""
    for name in ("uvicorn", "uvicorn_threads"):
        if not all(specs.is_installed(need) for need in SPECS[name].needs):
            require(False, name, "./lab install bench")
    one_each, eight = (
        sum(runner.measure(Cell(name, "hold", 30), SPECS[name], BRIEF, prepared)["threads"].values())
        for name in ("uvicorn", "uvicorn_threads")
    )
    assert one_each > 30
    assert eight < 20


@pytest.mark.full
def test_a_server_that_crashes_is_a_result_that_says_why(prepared):
    broken = replace(
        SPECS["baseline"], process=[{"name": "baseline", "command": ["@python@", "-c", "exit('no luck')"]}]
    )
    outcome = runner.measure(Cell("baseline", "hold", 20), broken, BRIEF, prepared)
    assert "no luck" in outcome["failed"]
    absent = replace(broken, needs=[{"file": "/no/such/file", "install": "make one"}])
    assert "make one" in runner.measure(Cell("baseline", "hold", 20), absent, BRIEF, prepared)["missing"]


@pytest.mark.full
def test_more_streams_than_descriptors_are_not_tried(prepared):
    limit = runner.raise_limits()
    outcome = runner.measure(Cell("offload", "hold", limit), SPECS["offload"], BRIEF, prepared)
    assert f"the limit is {limit:,}" in outcome["failed"]


@pytest.mark.full
def test_a_small_run_is_recorded_drawn_and_resumed(monkeypatch, tmp_path):
    """Two servers, 20 streams, a second: all opened, all events received, nothing measured twice."""
    monkeypatch.setattr(recorder, "RESULTS", tmp_path)
    monkeypatch.setitem(plan.PLANS, "quick", Plan(rounds=1, timing=BRIEF, sizes=(("hold", 20),)))
    chosen = {name: SPECS[name] for name in ("offload", "baseline")}
    run = recorder.new("quick", chosen)
    seen = [cell.server for *_, cell, it in recorder.resume(run, chosen) if it is not None]
    assert seen == ["offload", "baseline"]
    for it in run.results.values():
        assert records.has_numbers(it), it
        assert (it["established"], it["failures"], it["lost"]) == (20, {}, 0)
        assert it["events"] == 40
        assert it["probes"] > 0
        assert it["unanswered"] == 0
        assert sum(it["cpu_s"].values()) > 0
    again = Run.load(run.path)
    assert list(recorder.resume(again, chosen)) == []
    outcome = CliRunner().invoke(bench, ["--resume", str(run.path)])
    assert outcome.exit_code == 0, outcome.output
    assert {path.name for path in (tmp_path / run.path.stem).glob("*.svg")} >= {"wait-20.svg", "memory-20.svg"}
