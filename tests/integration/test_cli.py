"""The words a person types, from outside: what comes out, where to, and with which status."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from offload_lab.cli.main import lab as commands
from offload_lab.clients import ping
from offload_lab.clients.http import fetch_raw
from offload_lab.paths import ROOT
from offload_lab.process.polling import wait_for
from offload_lab.process.server_process import free_port
from offload_lab.stages import manifest
from offload_lab.timeouts import scaled

LAB = [sys.executable, "-m", "offload_lab"]


def lab(*args, **variables):
    environ = {**os.environ, **variables}
    return subprocess.run([*LAB, *args], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=scaled(100))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["dmeo"], ["error: no command 'dmeo'; did you mean demo?"]),
        (["xyz"], ["error: no command 'xyz'; there are: demo, list, run, "]),
        (["run", "01_file_wraper"], ["error: no step '01_file_wraper'; did you mean 01_file_wrapper?"]),
        (["run", "03_sse_offload", "headr"], ["error: 03_sse_offload has no variant 'headr'; did you mean header?"]),
        (["run", "01", "xyz"], ["error: 01_file_wrapper has no variant 'xyz'; there are: naive, file_wrapper, "]),
        (["run", "01", "--prot", "1"], ["No such option", "--port"]),
        (["run", "01", "--port", "70000"], ["70000", "1<=x<=65535"]),
        (["run", "01", "--port", "automatic"], ["'automatic' is neither a port nor auto"]),
        (["run", "01", "--engine", "wheal"], ["no uWSGI 'wheal'; did you mean wheel?"]),
        (["notebook", "77"], ["no notebook '77'"]),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_or_all_of_them(words, says):
    answer = lab(*words)
    assert (answer.returncode, answer.stdout) == (2, "")
    for part in says:
        assert part in " ".join(answer.stderr.split())


def test_help_lists_each_command_once_and_in_a_group():
    listed = re.findall(r"^  ([a-z]+)  +\S", lab("--help").stdout, re.MULTILINE)
    assert sorted(listed) == sorted(commands.commands)
    titles = re.findall(r"^(\w[\w ]+):$", lab("--help").stdout, re.MULTILINE)
    assert titles == ["Options", "Start", "Learn", "Teach", "Measure and maintain"]


def test_the_help_of_each_command_has_one_example():
    for name in commands.commands:
        answer = CliRunner().invoke(commands, [name, "--help"])
        assert answer.output.count(f"Example: ./lab {name}") == 1, answer


def test_help_uses_a_wide_terminal():
    widest = max(map(len, lab("--help", COLUMNS="120").stdout.splitlines()))
    assert 100 < widest <= 120


def test_list_names_every_variant_but_only_counts_the_pitfalls():
    answer = lab("list").stdout
    for step in manifest.steps():
        [heading] = [line for line in answer.splitlines() if line.startswith(step.name)]
        if step.pitfalls:
            assert f" {len(step.pitfalls)} failures, each broken and fixed " in heading
            assert not any(variant.name in answer for variant in step.variants)
        else:
            assert all(f"  {variant.name} " in answer for variant in step.variants)


def test_list_of_one_step_names_all_of_its_variants():
    pitfalls = next(step for step in manifest.steps() if step.pitfalls)
    answer = lab("list", pitfalls.number).stdout
    assert all(f"  {variant.name} " in answer for variant in pitfalls.variants)
    assert not any(step.name in answer for step in manifest.steps() if step != pitfalls)


def test_doctor_names_each_part_and_ends_in_one_sentence():
    answer = lab("doctor")
    assert answer.returncode == 0
    for part in ("Python", "uWSGI (wheel)", "Redis", "PostgreSQL", "Chromium", "C compiler", "descriptor limit"):
        assert part in answer.stdout
    assert " ".join(answer.stdout.split()).rpartition("Ready, ")[2].endswith(".")


class Foreground:
    """A command in the foreground, as in a terminal."""

    def __init__(self, *arguments, port=None):
        self.port = port or free_port()
        self.process = subprocess.Popen(
            [*LAB, *arguments, "--port", str(self.port)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def __enter__(self):
        self.printed = "".join(iter(self.process.stdout.readline, "Ctrl-C ends it.\n"))
        self.family = psutil.Process(self.process.pid).children(recursive=True)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def test_run_prints_what_to_try_and_each_log_until_ctrl_c():
    with Foreground("run", "01", "offload") as front:
        assert f"http://127.0.0.1:{front.port}/file" in front.printed
        assert "steps/01_file_wrapper/offload.ini" in front.printed
        assert ping(front.port, timeout_s=20).status == 200
        assert re.match(r"offload │ .*GET /ping", next(line for line in front.process.stdout if "/ping" in line))
        front.process.send_signal(signal.SIGINT)
        front.process.communicate(timeout=scaled(30))
    assert front.process.returncode == 130
    assert not any(process.is_running() for process in front.family)


def test_run_shows_control_characters_and_markup_as_text():
    with Foreground("run", "01", "offload") as front:
        fetch_raw(front.port, "GET /title[bold]\u202e\x9b?over HTTP/1.1\r\n\r\n".encode())
        line = next(line for line in front.process.stdout if "title" in line)
        front.process.send_signal(signal.SIGINT)
        front.process.communicate(timeout=30)
    assert r" GET /title[bold]\u202e\x9b?over => " in line


@pytest.mark.full
def test_run_with_an_automatic_port_prints_the_tunnel_to_it():
    with Foreground("run", "01", "offload", port="auto") as front:
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)", front.printed)[1])
        assert f"ssh -N -L {port}:127.0.0.1:{port} " in front.printed
        assert ping(port, timeout_s=20).status == 200


def test_run_names_a_busy_port():
    with Foreground("run", "01", "offload") as front:
        answer = lab("run", "01", "naive", "--port", str(front.port))
        assert answer.returncode == 1
        assert f"port {front.port} on 127.0.0.1 is already in use" in answer.stderr


def test_run_ends_with_an_error_when_its_uwsgi_is_killed():
    with Foreground("run", "01", "offload") as front:
        uwsgi = [process for process in front.family if "supervisor.py" not in " ".join(process.cmdline())]
        uwsgi[0].kill()
        output = front.process.communicate(timeout=scaled(30))[0]
    assert front.process.returncode == 1
    assert "offload ended with status -9 (SIGKILL)" in output


def test_demo_of_a_step_without_a_measurement_says_which_have_one():
    answer = lab("demo", "07")
    assert answer.returncode == 1
    assert "07_pitfalls has nothing that the demo measures; these steps have: 01, 02" in answer.stderr


def test_run_and_explain_take_the_reference_variant_by_default():
    with Foreground("run", "03") as front:
        assert "03_sse_offload header: " in front.printed
        assert "./lab explain 03 header" in front.printed
        [run] = re.findall(r"sockets and logs: (.+)", front.printed)
        answer = lab("explain", "03", "--run", run.strip())  # another test may run the same variant
    assert "03_sse_offload header: the front header listens on" in answer.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return lab("demo", "01", "02")


ROW = re.compile(r"^ ?(\d\d) (\w+) +(\d+) of (\d+) +([\d,.]+) +([\d,.]+) +([\d,]+) x +([\d,]+) +(\d+) *$", re.MULTILINE)


@pytest.mark.full
def test_demo_shows_blocking_against_offloaded(demo):
    assert demo.returncode == 0, demo.stderr
    rows = {f"{step} {variant}": rest for step, variant, *rest in ROW.findall(demo.stdout)}
    assert list(rows) == ["01 naive", "01 file_wrapper", "01 offload", "02 blocking", "02 xsendfile"]
    for name, (answered, asked, _, _, _, peak, offloaded) in rows.items():
        free = name in ("01 offload", "02 xsendfile")
        assert int(asked) > 0
        assert int(answered) == (int(asked) if free else 0)
        assert int(offloaded) == (1 if free else 0)
        assert (int(peak) > 64) == (name == "01 naive")


@pytest.mark.full
def test_demo_draws_one_picture_per_step_and_prints_its_path(demo):
    pictures = [Path(path) for path in re.findall(r"picture: (.*\.png)", demo.stdout)]
    assert [path.stem for path in pictures] == ["01_file_wrapper", "02_xsendfile"]
    for path in pictures:
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.with_suffix(".svg").read_text().startswith("<?xml")


@pytest.mark.full
def test_nothing_outlives_a_killed_demo():
    with subprocess.Popen([*LAB, "demo", "01"], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        family = psutil.Process(process.pid)
        wait_for(lambda: len(family.children(recursive=True)) >= 3, 30, "a supervisor, a master and a worker")
        left = family.children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(process.is_running() for process in left), 30, "all of the demo's processes ended")
