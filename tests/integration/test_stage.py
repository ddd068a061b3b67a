"""Stages on real uWSGIs: what goes wrong is named, and nothing is left."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from offload_lab.clients import SlowReader, ping
from offload_lab.errors import (
    LabError,
    PathTooLongError,
    PortInUseError,
    ProcessDiedError,
    UnknownNameError,
)
from offload_lab.measure import scenarios
from offload_lab.measure.scenarios import Sampler
from offload_lab.paths import ROOT
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.stages.stage import Stage
from offload_lab.stages.step import Step, Variant
from offload_lab.uwsgi.server import SOCKET_PATH_LIMIT, Uwsgi

SMALL = {"mib": "1"}


def test_leaving_a_stage_leaves_no_process_socket_or_file():
    with Stage("01", "offload", placeholders=SMALL) as running:
        pids = running.front.pids()
        assert len(pids) == 2, "a master and a worker"
        assert running.run.stat().st_mode & 0o777 == 0o700
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not running.run.exists()
    with pytest.raises(ConnectionRefusedError):
        ping(running.port, timeout_s=5)


def test_what_a_stage_makes_is_for_our_user_only():
    with Stage("01", "offload", placeholders=SMALL) as running:
        made = [path for path in running.run.rglob("*") if path.suffix != ".log"]
        assert made
        assert [path.name for path in made if path.stat().st_mode & 0o077] == []


def test_a_failing_block_leaves_nothing_either():
    with pytest.raises(ZeroDivisionError), Stage("01", "offload", placeholders=SMALL) as running:
        1 / 0  # noqa: B018
    assert not running.run.exists()
    assert running.front.pids() == []


def test_a_preparation_that_fails_leaves_nothing_either():
    class Unprepared(Stage):
        def prepare(self):
            assert ping(self.port, timeout_s=20).status == 200
            raise ZeroDivisionError

    stage = Unprepared("01", "offload", placeholders=SMALL)
    with pytest.raises(ZeroDivisionError), stage:
        pass
    assert not stage.run.exists()
    assert stage.front.pids() == []


def test_two_stages_run_at_once():
    with Stage("01", "offload", placeholders=SMALL) as first, Stage("01", "offload", placeholders=SMALL) as second:
        pids = {ping(running.port, timeout_s=20).pid for running in (first, second)}
        assert pids == {first.workers()[0].pid, second.workers()[0].pid}


def test_an_occupied_port_is_named():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=f"port {port} .* --port"), Stage("01", "offload", port=port):
            pass


def test_a_very_long_temporary_folder_is_avoided(monkeypatch, tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with Stage("01", "offload", placeholders=SMALL) as running:
        assert ping(running.port, timeout_s=20).status == 200


def test_a_run_folder_too_long_for_a_socket_is_named(tmp_path):
    run = tmp_path / ("d" * SOCKET_PATH_LIMIT)
    run.mkdir()
    ini = ROOT / "steps/01_file_wrapper/offload.ini"
    with pytest.raises(PathTooLongError, match="choose a shorter run folder"):
        Uwsgi(ini, run, port=free_port()).start()


def a_step(folder, text):
    (folder / "front.ini").write_text("[uwsgi]\n" + text)
    return Step(folder, "broken", 1, "/", "none", (Variant("front", ("front.ini",), "breaks"),))


GOOD = "http-socket = 127.0.0.1:%(port)\nset-placeholder = port=1\nset-placeholder = run=.\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("strict = true\nofload-threads = 1\n" + GOOD, "ofload-threads"),
        (GOOD + "need-app = true\nwsgi-file = nowhere.py\n", "nowhere.py"),
        (GOOD + "master = true\nneed-app = true\nmodule = no_such_module\n", "no_such_module"),
    ],
)
def test_a_broken_ini_is_reported_with_uwsgis_own_words(tmp_path, text, words):
    stage = Stage(a_step(tmp_path, text), "front")
    with pytest.raises(ProcessDiedError, match=words), stage:
        pass
    assert not stage.run.exists()


def test_a_worker_that_is_killed_is_replaced_and_the_stage_goes_on():
    with Stage("01", "offload", placeholders=SMALL) as running:
        [before] = running.workers()
        os.kill(before.pid, signal.SIGKILL)
        wait_for(lambda: [worker.pid for worker in running.workers()] not in ([], [before.pid]), 20, "a new worker")
        assert ping(running.port, timeout_s=20).pid == running.workers()[0].pid


def test_a_process_of_a_stage_stops_and_starts_again_on_its_own():
    with Stage("01", "offload", placeholders=SMALL) as running:
        running.front.stop()
        with pytest.raises(ConnectionRefusedError):
            ping(running.port, timeout_s=5)
        running.front.start()
        running.front.wait_ready(Deadline(20))
        assert ping(running.port, timeout_s=20).status == 200


def test_variables_that_uwsgi_would_take_for_options_do_not_reach_it(monkeypatch):
    monkeypatch.setenv("UWSGI_PROCESSES", "3")
    with Stage("01", "offload", placeholders=SMALL) as running:
        assert len(running.workers()) == 1


@pytest.mark.parametrize(
    ("step", "variant", "words"),
    [
        ("01_file_wraper", "offload", "did you mean 01_file_wrapper"),
        ("99", "offload", "01_file_wrapper, 02_xsendfile"),
        ("01", "ofload", "did you mean offload"),
    ],
)
def test_a_wrong_name_gets_the_nearest_and_the_list(step, variant, words):
    with pytest.raises(UnknownNameError, match=words):
        Stage(step, variant)


@pytest.mark.parametrize("word", ["01", "1", "file_wrapper", "01_file_wrapper"])
def test_a_step_has_several_names(word):
    assert Stage(word, "naive").step.name == "01_file_wrapper"


def test_nothing_outlives_a_killed_stage(tmp_path):
    code = (
        "from offload_lab.stages.stage import Stage\nimport signal\n"
        "with Stage('01', 'offload', placeholders={'mib': '1'}) as s:\n"
        "    print(*s.front.pids(), s.run, flush=True)\n    signal.pause()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT) as owner:
        *pids, run = owner.stdout.readline().split()
        owner.kill()
    wait_for(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids), 20, "every uWSGI ended")
    wait_for(lambda: not Path(run).exists(), 20, "the run folder removed")


def test_a_wrong_process_name_gets_the_nearest_and_the_list():
    with Stage("01", "offload", placeholders=SMALL) as running:
        assert running.process("offload") is running.front
        with pytest.raises(
            UnknownNameError, match=r"^01_file_wrapper offload has no process 'ofload'; did you mean offload\?$"
        ):
            running.process("ofload")


def test_a_backend_that_ends_while_the_front_starts_is_an_error(tmp_path):
    step = a_step(tmp_path, GOOD + "master = true\nstats = %(run)/front-stats.sock\nmodule = backend_ends\n")
    (tmp_path / "backend_ends.py").write_text(
        "import pathlib, psutil, time\n"
        f"backend = psutil.Process(int(pathlib.Path({str(tmp_path / 'pid')!r}).read_text()))\n"
        "supervisor = backend.parent()\n"
        "backend.kill()\n"
        "while supervisor.is_running() and supervisor.status() != psutil.STATUS_ZOMBIE:\n"
        "    time.sleep(0.01)\n"
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return []\n"
    )
    (tmp_path / "front.ini").write_text((tmp_path / "front.ini").read_text() + f"pythonpath = {tmp_path}\n")
    (tmp_path / "backend.ini").write_text(
        "[uwsgi]\nset-placeholder = run=.\nmaster = true\nsocket = %(run)/b.sock\n"
        f"stats = %(run)/backend-stats.sock\npidfile = {tmp_path / 'pid'}\n"
    )
    both = replace(step.variants[0], inis=("backend.ini", "front.ini"))
    stage = Stage(replace(step, variants=(both,)), "front")
    with pytest.raises(ProcessDiedError, match=r"backend ended with status -9 \(SIGKILL\)"), stage:
        pass
    assert not stage.run.exists()


# --- the sampler


def test_a_missing_stats_socket_is_a_gap_in_the_samples():
    with Stage("01", "offload", placeholders=SMALL) as running, Sampler(running, lambda: 0.0) as sampler:
        wait_for(lambda: sampler.samples, 20, "a sample")
        hidden = running.front.stats_socket.with_suffix(".away")
        running.front.stats_socket.rename(hidden)
        wait_for(lambda: sampler.samples[-1].gap, 20, "a gap")
        hidden.rename(running.front.stats_socket)
        wait_for(lambda: not sampler.samples[-1].gap, 20, "a sample again")
    gaps = [sample for sample in sampler.samples if sample.gap]
    assert {(tuple(gap.workers), gap.holder) for gap in gaps} == {((), None)}
    assert gaps[0].gap == "the stats server: no such socket"
    assert sampler.samples[0].workers[0]["front"]


def test_any_other_error_of_the_sampler_is_raised_where_the_block_is_left(monkeypatch):
    def breaks(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(scenarios, "take_sample", breaks)
    with Stage("01", "offload", placeholders=SMALL) as running, pytest.raises(ZeroDivisionError):
        with Sampler(running, lambda: 0.0) as sampler:
            wait_for(lambda: sampler._thread.error, 20, "its first sample")


@pytest.mark.parametrize("scenario", scenarios.SCENARIOS)
def test_a_front_that_ends_cannot_be_measured_and_its_logs_say_why(scenario):
    with Stage("01", "offload", placeholders=SMALL) as running:
        running.front.stop()
        with pytest.raises(LabError, match=r"01_file_wrapper offload cannot be measured: .*refused.*logs say:\n---"):
            scenarios.SCENARIOS[scenario](running)


def test_a_download_that_never_ends_is_an_error(monkeypatch):
    monkeypatch.setattr(scenarios, "FINISH_S", 0.1)
    with Stage("01", "offload", placeholders={"mib": "64"}) as running:
        monkeypatch.setattr(SlowReader, "hurry", lambda self: None)
        with pytest.raises(LabError, match=r"had not ended 0\.1 s after"):
            scenarios.record_download(running, slow_s=0.1)
