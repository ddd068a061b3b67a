"""./lab bench: what needs no process, one small run, and every server under test alone."""

import json
import math
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from click.testing import CliRunner

from bench import (
    aggregate,
    axes,
    numbers,
    pages,
    plan,
    recorder,
    records,
    runner,
    scaling,
    specs,
)
from bench.plan import Cell, Plan
from bench.records import Run
from bench.server import Server
from bench.site.feeds import ALL, FEEDS, FILE, due_after
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
from offload_lab.system import is_linux
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


@pytest.mark.parametrize("need", ['install = "x"', 'program = "x"', 'programme = "x"\ninstall = "y"'])
def test_an_incomplete_need_is_named(tmp_path, need):
    text = (specs.FOLDER / "nchan" / "server.toml").read_text()
    (tmp_path / "server.toml").write_text(text.replace("[[needs]]", f"[[needs]]\n{need}\n[[needs]]", 1))
    with pytest.raises(ManifestError, match="needs a program, or one of module, file, engine and install"):
        specs.ServerSpec.load(tmp_path)


def test_a_line_is_fitted():
    assert scaling.line([(x, 3 + 2 * x) for x in (1, 2, 5, 9)]) == pytest.approx((3, 2))
    with pytest.raises(ValueError, match="constant"):
        scaling.line([(1, 2), (1, 3)])


def test_names_beside_a_picture_do_not_overlap():
    assert axes.apart([0.1, 0.5], 0.05) == [0.1, 0.5]
    assert axes.apart([0.2, 0.2, 0.2], 0.1) == pytest.approx([0.2, 0.3, 0.4])
    assert axes.apart([0.95, 0.97, 1.2], 0.1) == pytest.approx([0.8, 0.9, 1.0])


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
            content = (prepared / FILE).read_bytes()
            assert session.ask("GET", "/file").body == content
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
@pytest.mark.skipif(not is_linux(), reason="./lab bench runs on Linux only")
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
