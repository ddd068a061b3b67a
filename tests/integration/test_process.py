"""A child that the harness starts: whatever it does, it is seen, stopped and reaped."""

import os
import resource
import signal
import socket

import psutil
import pytest

from offload_lab.errors import NotReadyError, ProcessDiedError, StartError, StillRunningError
from offload_lab.process.deadlines import Deadline, readable
from offload_lab.process.polling import wait_for
from offload_lab.process.process import Process

FOREVER = "import signal; signal.pause()"


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
