"""The benchmark's plan, its recorded file, its report and its pictures."""

import io
import resource

import pytest
from rich.console import Console

from bench import (
    figures,
    load_generator,
    numbers,
    peer_blocks,
    plan,
    recorder,
    report,
    runner,
)
from bench.plan import Cell, Plan, ScalingPlan
from bench.records import Run
from offload_lab.errors import LabError

from .test_bench import ABOUT, BRIEF, SPECS, result

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
def run(tmp_path):
    return Run.begin(tmp_path / "run.jsonl", ABOUT)


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
