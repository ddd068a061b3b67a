"""The harness attacked: whatever the child does, it is seen, stopped and reaped, and nothing is left."""

import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap

import psutil
import pytest

from offload_lab.errors import NotReadyError, NotStoppedError, ProcessDiedError, StartError, StillRunningError
from offload_lab.process import supervisor
from offload_lab.process.deadlines import Deadline, readable
from offload_lab.process.polling import wait_for
from offload_lab.process.process import Process
from offload_lab.system import is_linux

FOREVER = "import signal; signal.pause()"


@pytest.fixture
def python(tmp_path):
    """Make a Process from Python code; whatever the test forgets is stopped after it."""
    made = []

    def make(code, **options):
        process = Process("child", [sys.executable, "-c", textwrap.dedent(code)], tmp_path / "child.log", **options)
        made.append(process)
        return process

    yield make
    for process in made:
        process.stop()


@pytest.fixture
def many_descriptors():
    """Room for descriptors up to 2047."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip(f"this process may open {hard} files at most; raise it with: ulimit -Hn 2048")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def says(process, word):
    return word in process.log_tail(1000)


def gone(pid):
    return not psutil.pid_exists(pid)


def ended(pid):
    """Gone, or kept by an init that does not reap, as where the supervisor cannot inherit it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_is_stopped_and_reaped(python):
    with python(FOREVER) as process:
        assert process.status() is None
        assert psutil.pid_exists(process.pid)
    assert gone(process.pid)


def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(python):
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True);" + FOREVER
    with python(code, grace_s=0.2) as process:
        process.wait_until(lambda: says(process, "deaf"), Deadline(20))
    assert gone(process.pid)


def test_without_a_grace_a_child_is_killed_and_not_asked(python):
    code = (
        "import signal; signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True)); print('up', flush=True);"
    )
    with python(code + FOREVER, grace_s=0) as process:
        process.wait_until(lambda: says(process, "up"), Deadline(20))
    assert gone(process.pid)
    assert not says(process, "asked")


def test_a_child_that_cleans_up_on_sigterm_gets_the_time_to(python, tmp_path):
    code = f"""
        import signal, sys, pathlib
        def leave(*_):
            pathlib.Path({str(tmp_path / "cleaned")!r}).touch()
            sys.exit(0)
        signal.signal(signal.SIGTERM, leave)
        print("up", flush=True)
        signal.pause()
    """
    with python(code) as process:
        process.wait_until(lambda: says(process, "up"), Deadline(20))
    assert (tmp_path / "cleaned").exists()


def test_a_child_that_dies_at_start_is_noticed_at_once_with_its_last_words(python):
    with python("import sys; print('no such database'); sys.exit(3)") as process:
        with pytest.raises(ProcessDiedError) as caught:
            process.wait_until(lambda: False, Deadline(60))
    assert caught.value.status == 3
    assert "no such database" in str(caught.value)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGPIPE])
def test_a_child_killed_by_a_signal_says_which(python, number):
    with (
        python(
            f"import os, signal; signal.signal({number}, signal.SIG_DFL) if {number} != 9 else 0;"
            f"os.kill(os.getpid(), {number})"
        ) as process,
        pytest.raises(ProcessDiedError) as caught,
    ):
        process.wait_until(lambda: False, Deadline(60))
    assert caught.value.status == -number
    assert f"child ended with status -{number:d} ({number.name})" in str(caught.value)


@pytest.mark.parametrize("status", [0, 1, 127, 128, 137, 143, 255])
def test_every_exit_status_is_reported_as_it_is_and_never_as_a_signal(python, status):
    with python(f"import os; os._exit({status})") as process:
        assert process.wait_ended(Deadline(60)) == status


def test_a_probe_that_another_process_answers_makes_no_dead_child_ready(python):
    with python("pass") as process:
        process.wait_ended(Deadline(60))
        with pytest.raises(ProcessDiedError):
            process.wait_until(lambda: True, Deadline(60))


def test_a_child_that_ends_during_its_probe_is_not_ready(python):
    def answers_last():
        os.kill(process.pid, signal.SIGKILL)
        wait_for(lambda: process.status() is not None, 20, "its end")
        return True

    with python(FOREVER) as process, pytest.raises(ProcessDiedError, match="SIGKILL"):
        process.wait_until(answers_last, Deadline(60))


def test_a_child_that_should_end_and_does_not_is_reported_with_its_log(python):
    with python("print('still copying', flush=True);" + FOREVER) as process:
        process.wait_until(lambda: says(process, "copying"), Deadline(20))
        with pytest.raises(StillRunningError, match=r"still ran after [\d.]+ s.*\n.*still copying"):
            process.wait_ended(Deadline(0.1))


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


@pytest.mark.skipif(sys.platform != "linux", reason="prctl(2), parent death signal")
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


def test_a_socket_beyond_descriptor_1023_is_waited_for_like_any_other(many_descriptors):
    ours, theirs = socket.socketpair()
    with ours, theirs, socket.socket(fileno=os.dup2(ours.fileno(), 1500)) as high:
        assert not readable(high, 0)
        theirs.send(b"x")
        assert readable(high, 20)


def test_a_child_that_never_gets_ready_is_reported_with_its_log(python):
    with python("print('still warming up', flush=True);" + FOREVER) as process:
        process.wait_until(lambda: says(process, "warming"), Deadline(20))
        with pytest.raises(NotReadyError, match="still warming up"):
            process.wait_until(lambda: False, Deadline(0.1))
        assert process.status() is None
    assert gone(process.pid)


def test_a_command_that_does_not_exist_is_an_error_with_its_name(tmp_path):
    process = Process("child", ["/no/such/program"], tmp_path / "child.log")
    with pytest.raises(StartError, match=r"/no/such/program: No such file"):
        process.start()


def test_a_child_that_floods_its_output_neither_blocks_nor_fills_memory(python):
    code = "import sys; [sys.stdout.write('x' * 1023 + '\\n') for _ in range(50_000)]; print('end', flush=True);"
    with python(code + FOREVER) as process:
        process.wait_until(lambda: says(process, "end"), Deadline(60))
        assert process.log.stat().st_size > 50_000_000
        assert len(process.log_tail(1_000_000)) <= 8192


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


def test_a_stopped_process_starts_again(python):
    process = python(FOREVER)
    process.start()
    first = process.pid
    process.stop()
    process.start()
    assert process.pid != first
    assert process.status() is None
    process.stop()
    process.stop()  # does nothing


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


@pytest.mark.skipif(not is_linux(), reason="prctl(2), parent death signal")
def test_a_child_ends_even_if_its_supervisor_is_killed(python):
    with python(FOREVER) as process:
        psutil.Process(process.pid).parent().kill()
        wait_for(lambda: gone(process.pid), 20, "the child ended")
