"""What stands in the files: nothing of the lab, nothing that the linter or systemd would complain about."""

import json
import os
import re
import shutil
import subprocess
import sys
from difflib import unified_diff
from pathlib import Path

import pytest

from offload_lab.lint.targets import examine
from offload_lab.process.polling import wait_for
from offload_lab.testing import require

from .conftest import STEP, TIMEOUT_S, opened

HERE = STEP.folder
OURS = ("tests", "lesson")
UNITS = sorted((HERE / "systemd").iterdir())


def test_no_line_of_the_lab_stands_in_what_is_deployed():
    deployed = [path for path in HERE.rglob("*") if path.is_file() and path.relative_to(HERE).parts[0] not in OURS]
    code = [
        path for path in deployed if path.suffix in (".py", ".ini", ".conf", ".html", ".service", ".socket", ".yaml")
    ]
    assert len(code) > 30
    assert [path.name for path in code if "offload_lab" in path.read_text()] == []


def test_the_linter_is_silent():
    for folder in (HERE, HERE / "pass"):
        report = examine([str(folder)], {})
        assert (report.findings, report.unusable) == ([], [])


def test_pass_front_ini_differs_from_front_ini_in_its_two_routes_only():
    texts = [(HERE / name).read_text().splitlines() for name in ("front.ini", "pass/front.ini")]
    options, passing = ([line for line in text if line and line[0] != ";"] for text in texts)
    assert [line.replace(" passuwsgi:", " uwsgi:") for line in passing] == options
    assert [line for line in passing if " passuwsgi:" in line] == [line for line in passing if " equal:" in line]


def test_the_two_confs_differ_only_in_how_they_ask_the_front():
    texts = [(HERE / name).read_text().splitlines() for name in ("nginx.conf", "nginx_proxy.conf")]
    changed = [
        line[1:].strip()
        for line in unified_diff(*texts, n=0, lineterm="")
        if line[0] in "+-" and line[:3] not in ("+++", "---")
    ]
    ways = r"uwsgi_.*|proxy_.*|include /etc/nginx/uwsgi_params;"
    upgrade = r"map \$http_upgrade .*|default upgrade;|\"\" \"\";|\}"
    allowed = re.compile(rf"(#.*|{ways}|{upgrade})?")
    assert [line for line in changed if not allowed.fullmatch(line)] == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_systemd_finds_nothing_wrong_with_the_units(unit, tmp_path):
    analyze = shutil.which("systemd-analyze")
    require(analyze is not None, "systemd-analyze", "apt-get install systemd")
    for path in UNITS:
        text = path.read_text()
        for program in set(re.findall(r"^Exec\w+=(/srv\S+)", text, re.MULTILINE)):
            text = text.replace(program, sys.executable)  # verify wants programs that are there
        (tmp_path / path.name).write_text(text.replace("/srv/shop/manage.py", "/dev/null"))
    environ = {**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"}
    command = [analyze, "verify", "--man=no", str(tmp_path / unit.name)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=60)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "shop-" in line]
    assert (done.returncode, complaints) == (0, [])


def test_compose_and_container_name_files_that_are_there():
    yaml = pytest.importorskip("yaml")
    compose = yaml.safe_load((HERE / "container" / "compose.yaml").read_text())
    assert set(compose["services"]) == {"redis", "migrate", "backend", "ws", "front", "nginx"}
    inis = [
        word
        for service in compose["services"].values()
        for word in service["command" if "command" in service else "image"]
        if word.endswith(".ini")
    ]
    assert sorted(Path(ini).name for ini in inis) == ["backend.ini", "front.ini", "ws.ini"]
    copied = re.findall(r"^COPY (.+) \S+$", (HERE / "container" / "Containerfile").read_text(), re.MULTILINE)
    assert [name for line in copied for name in line.split() if not (HERE / name).exists()] == []


def test_metrics_are_those_of_the_running_servers(shop):
    command = [
        sys.executable,
        str(HERE / "metrics.py"),
        *map(str, sorted(shop.run.glob("*-stats.sock"))),
        "gone-stats.sock",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    samples = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines() if line[0] != "#")
    assert samples['uwsgi_workers{server="front"}'] == "4"
    assert samples['uwsgi_up{server="gone"}'] == "0"
    assert int(samples['uwsgi_requests_total{server="front"}']) == sum(worker.requests for worker in shop.workers())


def test_a_socket_that_systemd_opened_is_the_fronts():
    """systemd-socket-activate opens it, as shop-front.socket does; front.ini then opens the other one only."""
    activate = shutil.which("systemd-socket-activate")
    require(activate is not None, "systemd-socket-activate", "apt-get install systemd")
    with opened("deployed") as shop:
        front = shop.front
        front.stop()
        socket = shop.run / "front.sock"
        given = [word for pair in shop.copies.environment().items() for word in ("-E", "=".join(pair))]
        front.command[:0] = [activate, *given, "-l", str(socket)]  # it starts the front at the first connection
        front.start()
        wait_for(lambda: f"Listening on {socket}" in front.log.read_text(), TIMEOUT_S, "the socket to be opened")
        with shop.http() as client:
            answer = client.get("/ready")
        assert (answer.status_code, json.loads(answer.text)["feed"]) == (200, True)
        log = front.log.read_text()
        assert "SystemD socket activation detected" in log
        assert f"bound to UNIX address {socket} " not in log.rpartition("SystemD socket")[2]
