"""The pitfalls as servers to cure: their files give nothing away, and the cure's own test tells sick from cured."""

import re
import subprocess
import sys

import pytest

from offload_lab.exercises import progress, servers
from offload_lab.paths import ROOT
from offload_lab.stages import manifest
from offload_lab.testing import require
from offload_lab.timeouts import scaled

pytestmark = pytest.mark.usefixtures("work")

STEP = manifest.find("07_pitfalls")
QUICK = ("2", "6")  # they need no Django
HELPER = "reconnect_later"
GIVEN_AWAY = re.compile(r'(?m)\b\w+_(broken|fixed)\b|UNSAFE|^\s*[;#](?!!)|"""|callable =')


def number(server):
    return str(server.number)


each_server = pytest.mark.parametrize("server", STEP.servers, ids=number)
each_server_in_its_tier = pytest.mark.parametrize(
    "server",
    [
        pytest.param(server, id=number(server), marks=() if number(server) in QUICK else pytest.mark.full)
        for server in STEP.servers
    ],
)


def test_every_pitfall_is_a_server_once():
    assert sorted(server.pitfall for server in STEP.servers) == sorted(STEP.pitfalls)


@each_server
def test_a_servers_files_give_nothing_away(server, work):
    servers.start(STEP, server)
    target = work / f"07_{server.name}"
    for path in filter(lambda path: path.is_file(), target.rglob("*")):
        assert path.stem in ("_front", "_backend", HELPER, "front", "backend") or path.parent != target
        if path.stem != HELPER:
            given_away = GIVEN_AWAY.findall(path.read_text())
            assert not given_away, f"{path}: {given_away}"
            assert not re.search(rf"\b{server.pitfall}[_.]", path.read_text())


@each_server
def test_hints_go_from_the_symptom_to_the_tool_to_the_cause_to_the_fix(server):
    symptom, tool, cause, fix = servers.hints(STEP, server)
    assert [text.partition(" ")[0] for text in (symptom, cause, fix)] == ["**Symptom.**", "**What", "**The"]
    for text in (server.complaint, server.goal, symptom, tool):
        assert not re.search(rf"(?<!wsgi\.)\b{server.pitfall}(_|\b)", text)


@each_server_in_its_tier
def test_a_cured_server_passes(server, work):
    servers.start(STEP, server, solved=True)
    verdict = servers.check(STEP, server)
    if verdict.outcome == "skipped":
        require(False, verdict.lines[0], "./lab doctor")
    assert verdict.passed, verdict.lines


@each_server_in_its_tier
def test_an_untouched_server_does_not_pass(server, work, monkeypatch):
    monkeypatch.setattr(servers, "TEST_S", 5)
    monkeypatch.setenv("LAB_TIMEOUT_FACTOR", "1")  # a sick server needs no more time on a busy machine
    servers.start(STEP, server)
    verdict = servers.check(STEP, server)
    assert not verdict.passed
    assert not re.search("get more diff|object at 0x", " ".join(verdict.lines)), "meant for developers"
    assert server.pitfall not in " ".join(verdict.lines)


def lab(*arguments, status=0):
    command = [sys.executable, "-m", "offload_lab", *arguments]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=scaled(100), check=False)
    assert answer.returncode == status, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


def test_servers_are_handed_out_with_complaints_and_without_names(work):
    output = lab("start", "07")
    assert len(list(work.glob("07_server_*"))) == len(STEP.servers)
    assert not [pitfall for pitfall in STEP.pitfalls if pitfall in output]
    assert "12  The first client that subscribes sees nothing" in output


@pytest.mark.full
def test_a_learner_cures_a_server_and_is_told_what_it_was(work):
    lab("start", "07")
    failed = lab("check", "07", "6", status=1)
    assert "server 6: not yet" in failed
    assert "next: ./lab hint 07 6" in failed
    assert "server_06, hint 1 of 4" in lab("hint", "07", "6")
    assert "has not passed yet" in lab("solution", "07", "6", status=1)
    ini = work / "07_server_06" / "front.ini"
    ini.write_text(ini.read_text().replace("chmod-socket = 666", 'exec-post-app = chmod 666 "%(run)/proxy.sock"'))
    changed = lab("check", "07")
    assert "server 6: passed" in changed
    assert f"not tested, as they were not changed: {len(STEP.servers) - 1} servers" in changed
    assert "open_stats.md" in lab("solution", "07", "6")
    record = progress.load().of(STEP, STEP.server("6"))
    assert (record.tries, record.hints, bool(record.passed)) == (1, 1, True)


def test_a_given_cure_is_not_passed_and_replaces_no_work(work):
    servers.start(STEP, STEP.server("6"))
    mine = work / "07_server_06" / "front.py"
    mine.write_text("# mine\n")
    output = lab("start", "07", "6", "--from-solution")
    assert "stays as it is" in output
    assert mine.read_text() == "# mine\n"
    assert "counted as given" in lab("start", "07", "2", "--from-solution")
    assert "server 2: passed" in lab("check", "07", "2")
    record = progress.load().of(STEP, STEP.server("2"))
    assert (bool(record.given), record.passed) == (True, "")
    lab("reset", "07", "2")
    assert not progress.load().of(STEP, STEP.server("2")).given
