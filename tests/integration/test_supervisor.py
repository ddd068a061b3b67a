"""The supervisor: nothing that a child starts, and no child, outlives its owner."""

import os
import signal
import subprocess
import sys
import textwrap

import psutil
import pytest

from offload_lab.errors import NotStoppedError, StartError
from offload_lab.process import supervisor
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.system import is_linux
from offload_lab.timeouts import scaled

from .test_process import FOREVER, gone


def ended(pid):
    """Gone, or kept by an init that does not reap, as where the supervisor cannot inherit it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.mark.full
def test_a_supervisor_that_says_nothing_is_not_waited_for_for_ever(python, monkeypatch, tmp_path):
    silent = tmp_path / "silent.py"
    silent.write_text("import os, sys\nprint(os.getpid(), file=sys.stderr, flush=True)\nsys.stdin.read()")
    monkeypatch.setattr("offload_lab.process.process.SUPERVISOR", silent)
    monkeypatch.setattr("offload_lab.process.process.HANDSHAKE_S", 3.0)
    process = python(FOREVER)
    with pytest.raises(StartError, match=r"child: its supervisor did not answer within [\d.]+ s"):
        process.start()
    assert gone(int(process.log_tail()))


@pytest.mark.skipif(not is_linux(), reason="prctl(2), parent death signal")
def test_a_supervisor_that_does_not_stop_is_an_error_with_a_ps_command(python, monkeypatch):
    process = python(FOREVER, grace_s=0.1)
    process.start()
    its_supervisor = psutil.Process(process.pid).parent()
    its_supervisor.suspend()
    monkeypatch.setattr("offload_lab.process.process.REAP_S", 0.2)
    with pytest.raises(NotStoppedError, match=rf"process {process.pid}\) was not reaped .* ps "):
        process.stop()
    wait_for(lambda: gone(process.pid) and not its_supervisor.is_running(), 20, "both ended")


def test_ctrl_c_while_it_is_waited_for_leaves_the_rest_to_the_supervisor(python, monkeypatch):
    def interrupted(self, timeout=None):
        raise KeyboardInterrupt

    process = python(FOREVER)
    process.start()
    its_supervisor = psutil.Process(process.pid).parent()
    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            process.stop()
    process.stop()
    assert gone(process.pid)
    assert not its_supervisor.is_running()


def test_what_survives_sigkill_does_not_keep_the_supervisor(monkeypatch, capfd):
    monkeypatch.setattr(supervisor, "KILL_S", 0.0)
    monkeypatch.setattr(supervisor, "reap", lambda leader: False)  # as if it slept in the kernel, uninterruptible
    with subprocess.Popen([sys.executable, "-c", "pass"], start_new_session=True) as leader:
        supervisor.end(leader, 0.0)
    assert "the supervisor gave up on" in capfd.readouterr().err


def test_children_of_the_child_go_with_it(python):
    code = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid, flush=True);" + FOREVER
    with python(code) as process:
        process.wait_until(lambda: process.log_tail().isdigit(), Deadline(20))
        grandchild = int(process.log_tail())
        assert psutil.pid_exists(grandchild)
    if is_linux():
        assert gone(grandchild)
    wait_for(lambda: ended(grandchild), 20, "the grandchild ended")


DAEMON = """
    import os, signal
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print(os.getpid(), flush=True)
            signal.pause()
        os._exit(0)
    os.wait()
    signal.pause()
"""


@pytest.mark.skipif(not is_linux(), reason="only Linux hands orphans to the supervisor: prctl(2), subreaper")
def test_a_daemon_that_left_the_group_and_ignores_sigterm_goes_too(python):
    with python(DAEMON, grace_s=0.2) as process:
        process.wait_until(lambda: process.log_tail().isdigit(), Deadline(20))
        daemon = int(process.log_tail())
        assert os.getpgid(daemon) != os.getpgid(process.pid)
    assert gone(daemon)


def test_what_a_dying_child_leaves_behind_is_ended_with_it(python):
    code = """
        import os, subprocess
        print(subprocess.Popen(['sleep', '600']).pid, flush=True)
        os._exit(1)
    """
    with python(code) as process:
        wait_for(lambda: process.log_tail().isdigit(), 20, "its last words")
        wait_for(lambda: gone(int(process.log_tail())), 20, "the orphan ended")


OWNER = """
    import pathlib, signal, sys
    from offload_lab.process.process import Process
    folder = pathlib.Path(sys.argv[1])
    scratch = folder / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-c", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"]
    with Process("child", command, scratch / "child.log", scratch=scratch, grace_s=0.2) as process:
        print(process.pid, flush=True)
        signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_nothing_outlives_an_owner_that_is_killed(tmp_path, number):
    command = [sys.executable, "-c", textwrap.dedent(OWNER), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as owner:
        pid = int(owner.stdout.readline())
        owner.send_signal(number)
        owner.wait()
    wait_for(lambda: gone(pid), 20, "the child ended")
    if number != signal.SIGINT:  # then the owner itself had the time to leave its block, and keeps its folder
        wait_for(lambda: not (tmp_path / "scratch").exists(), 20, "the scratch folder removed")


def test_nothing_outlives_an_owner_that_dies_before_it_is_answered(tmp_path):
    (scratch := tmp_path / "scratch").mkdir()
    lifeline, answer = os.pipe(), os.pipe()
    os.close(lifeline[1])  # as the kernel does for an owner that ended
    os.close(answer[0])
    command = [sys.executable, "-I", "-S", supervisor.__file__, "5", str(scratch), sys.executable, "-c", FOREVER]
    try:
        status = subprocess.run(command, stdin=lifeline[0], stdout=answer[1], timeout=scaled(60)).returncode
    finally:
        os.close(lifeline[0])
        os.close(answer[1])
    assert status == -signal.SIGTERM, "as its command, which it ended"
    assert not scratch.exists()


@pytest.mark.skipif(not is_linux(), reason="prctl(2), parent death signal")
def test_a_child_ends_even_if_its_supervisor_is_killed(python):
    with python(FOREVER) as process:
        psutil.Process(process.pid).parent().kill()
        wait_for(lambda: gone(process.pid), 20, "the child ended")
