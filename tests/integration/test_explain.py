"""explain of whole stages, looked at from outside while a client holds something."""

import dataclasses
import os
import re
import shutil
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from offload_lab.clients import SlowReader
from offload_lab.clients.session import Session
from offload_lab.clients.sse import SseClient
from offload_lab.errors import LabError
from offload_lab.inspect import describe, find_run
from offload_lab.inspect.observe import take_snapshot
from offload_lab.inspect.runs import Run, only_run, runs
from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest
from offload_lab.stages.stage import Stage
from offload_lab.stages.step import Variant
from offload_lab.system import is_linux
from offload_lab.timeouts import scaled

linux = pytest.mark.skipif(not is_linux(), reason="only Linux tells what a thread waits for: proc(5)")


def test_a_running_worker_with_a_number_that_only_uwsgi_knows(tmp_path):
    """As many offload threads as there are processors: uWSGI expands %k itself."""
    shutil.copytree(ROOT / "steps/01_file_wrapper", tmp_path / "01_file_wrapper")
    ini = tmp_path / "01_file_wrapper/offload.ini"
    text = re.sub(r"(?m)^offload-threads *=.*$", "offload-threads = %k", ini.read_text())
    ini.write_text(text.replace("%d../..", str(ROOT)))
    with Stage(str(tmp_path / "01_file_wrapper"), "offload", placeholders={"mib": "64"}) as stage:
        with SlowReader(stage.port, "/file", rate_mib_s=0.5):
            text = seen(stage, "which of its threads are offload threads is not known")
    assert "held by offload thread" not in text


# --- stages


@contextmanager
def asking(port, path, cookie=""):
    """Somebody who asked and would wait for the answer: their address."""
    with socket.create_connection(("127.0.0.1", port), timeout=scaled(30)) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode())
        yield "{}:{}".format(*connection.getsockname())


def bystander(port):
    return asking(port, "/ping")


@contextmanager
def subscriber(stage):
    """ada, whose first event has come."""
    ada = Session(stage.port)
    ada.log_in()
    with SseClient(stage.port, cookie=ada.cookie) as client:
        client.next()
        yield "{}:{}".format(*client.address)


def seen(stage, *patterns):
    """What is said of the stage, once each of the patterns is in it; a look from outside catches moments."""
    texts = [""]

    def all_are_there():
        texts.append("\n".join(describe(take_snapshot(stage.step, stage.variant, stage.run))))
        return all(re.search(pattern, texts[-1]) for pattern in patterns)

    try:
        wait_for(all_are_there, 20, "the sentences")
    except TimeoutError:
        pytest.fail(f"{patterns} not said of it:\n{texts[-1]}")
    return texts[-1]


def without_offload_threads(step, variant, folder):
    """The same step with a front that has no offload threads."""
    front = step.variant(variant).inis[-1]
    text = (step.folder / front).read_text().replace("%d", f"{step.folder}/")
    (folder / front).write_text(re.sub(r"^offload-threads.*\n", "", text, flags=re.MULTILINE))
    inis = (*(str(step.folder / ini) for ini in step.variant(variant).inis[:-1]), str(folder / front))
    return dataclasses.replace(step, variants=(Variant("without", inis, "for a test"),))


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """All at once: one after the other would take half a minute."""
    without = without_offload_threads(manifest.find("03"), "header", tmp_path_factory.mktemp("without"))
    wanted = {
        "naive": Stage("01", "naive", options=["--socket-timeout", "3600"]),  # its reader may be slow
        "offload": Stage("01", "offload"),
        "header": Stage("03", "header"),
        "blocking": Stage("03", "blocking"),
        "without": Stage(without, "without"),
    }
    with ThreadPoolExecutor(len(wanted)) as pool:
        try:
            list(pool.map(lambda stage: stage.__enter__(), wanted.values()))
            yield wanted
        finally:
            list(pool.map(lambda stage: stage.__exit__(None, None, None), wanted.values()))


@linux
def test_a_download_that_the_worker_carries(stages):
    stage = stages["naive"]
    [worker] = stage.workers()
    with SlowReader(stage.port, "/file", rate_mib_s=0.5) as reader, bystander(stage.port) as other:
        seen(
            stage,
            rf"worker {worker.pid} has been sending to the client for \d+ s"
            rf" \(GET /file, client 127.0.0.1:{reader.port}\) because no offload thread exists",
            f"client 127.0.0.1:{reader.port}: held by worker {worker.pid} itself",
            rf"client {other}: waiting in the listen queue \(room for 100\), since worker {worker.pid} is busy",
        )


@linux
def test_a_client_that_left_is_still_held(stages):
    stage = stages["naive"]
    with SlowReader(stage.port, "/file", rate_mib_s=0.5):
        with bystander(stage.port) as other:
            seen(stage, f"client {other}: waiting in the listen queue")
        seen(stage, f"client {other}: waiting in the listen queue.*\n  it has closed, and the server has not noticed")


@linux
def test_a_download_that_an_offload_thread_carries(stages):
    stage = stages["offload"]
    [worker] = stage.workers()
    with SlowReader(stage.port, "/file", rate_mib_s=0.5) as reader:
        seen(
            stage,
            f"worker {worker.pid} is idle",
            f"client 127.0.0.1:{reader.port}: held by offload thread 1 of worker {worker.pid}",
        )


@linux
def test_a_stream_that_an_offload_thread_carries(stages):
    stage = stages["header"]
    [worker] = stage.workers()
    [behind] = stage.processes[0].workers()
    with subscriber(stage) as ada:
        seen(
            stage,
            f"worker {worker.pid} is idle",
            rf"client {ada}: held by offload thread [12] of worker {worker.pid}",
            rf"the backend sse \(worker {behind.pid}\) serves 1 request of at most 2500, the longest GET /subscribe",
        )


@linux
def test_a_stream_that_django_sends_itself(stages):
    stage = stages["blocking"]
    [worker] = stage.workers()
    with subscriber(stage) as ada, bystander(stage.port) as other:
        seen(
            stage,
            rf"worker {worker.pid} has been running the app's own code for \d+ s \(GET /subscribe, client {ada}\)"
            " because no route offloads",
            rf"client {other}: waiting in the listen queue",
        )


@linux
def test_a_stream_that_the_worker_proxies_because_no_offload_thread_exists(stages):
    """After disableheaders: it reads from the backend and sends nothing to the client, which does not wait."""
    stage = stages["without"]
    [worker] = stage.workers()
    ada = Session(stage.port)
    ada.log_in()
    with asking(stage.port, "/subscribe", ada.cookie) as client:
        seen(
            stage,
            rf"worker {worker.pid} has been reading from the backend for \d+ s \(GET /subscribe, client {client}\)"
            " because no offload thread exists",
        )


def copy_of(step, folder):
    """The same step in another folder, so that nobody else runs it."""
    folder = folder / step.name
    folder.mkdir()
    for name in ("offload.ini", "file_wrapper.py"):
        shutil.copy(step.folder / name, folder)
    text = (folder / "offload.ini").read_text()
    (folder / "offload.ini").write_text(text.replace("%d../..", str(ROOT)))
    return dataclasses.replace(step, folder=folder)


@pytest.mark.full
def test_running_stages_are_found_and_told_apart_by_command_line(tmp_path):
    step = copy_of(manifest.find("01"), tmp_path)
    with pytest.raises(LabError, match=r"not running; start it in another terminal: \./lab run 01 offload"):
        find_run(step, step.variant("offload"))
    with Stage(step, "offload") as running:
        assert find_run(step, step.variant("offload")) == running.run
        assert only_run(runs([step])).folder == running.run
        with Stage(step, "offload") as other:
            with pytest.raises(LabError, match="runs 2 times") as caught:
                find_run(step, step.variant("offload"))
            assert f"./lab explain 01 offload --run {running.run}" in str(caught.value)
            assert f"--run {other.run}" in str(caught.value)


def test_a_front_that_does_not_answer_is_not_said_to_be_down(tmp_path):
    step = copy_of(manifest.find("01"), tmp_path)
    with Stage(step, "offload") as stage:
        stage.front.stats_socket.rename(stage.run / "moved.sock")
        with pytest.raises(LabError) as caught:
            find_run(step, step.variant("offload"))
    message = str(caught.value)
    assert re.search(
        r"process \d+ is the front of 01_file_wrapper offload, but its stats socket does not answer", message
    )
    assert f"{stage.front.stats_socket}: no such socket" in message


def test_the_command_says_it_and_a_wrong_folder_is_named(tmp_path):
    def explain(*arguments):
        code = "from offload_lab.cli.explain import explain; explain()"
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=ROOT, env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True, timeout=scaled(60),
        )  # fmt: skip

    with Stage("01", "offload") as stage:
        answer = explain("01", "offload", "--run", stage.run)
        assert answer.returncode == 0, answer.stderr
        assert f"listens on\n  {stage.url}." in answer.stdout or f"listens on {stage.url}." in answer.stdout
        clients = "no client is connected." if is_linux() else "which clients are connected is not known"
        assert clients in " ".join(answer.stdout.split())
        assert max(map(len, answer.stdout.splitlines())) <= 80
    assert (
        "offload.ini of 01_file_wrapper offload does not answer in"
        in explain("01", "offload", "--run", tmp_path).stderr
    )


def test_without_a_step_the_one_that_runs_is_meant_and_several_are_named(tmp_path):
    step = manifest.find("01")
    run = Run(step, step.variant("offload"), tmp_path)
    assert only_run([run]) == run
    with pytest.raises(LabError, match=r"2 variants run; choose one:\n +\./lab explain 01 offload --run .*\n +\./lab"):
        only_run([run, run._replace(variant=step.variant("naive"))])
    with pytest.raises(LabError, match=r"\./lab run 03 header; or name any uWSGI: \./lab explain --stats"):
        only_run([])
