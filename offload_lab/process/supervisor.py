"""Run one command so that nothing of it outlives its owner, the Python process that started the supervisor.

`offload_lab.process.process` starts ``supervisor.py GRACE_S SCRATCH COMMAND…`` as a script, in a session of its own.
Its standard input is the lifeline. The owner writes ``stop`` and closes it for an ordinary stop; if it just closes,
the owner died (Ctrl-C, kill -9, a lost notebook kernel) and the scratch folder is removed as well. Either way the
command, and then all that it started, is asked to end, made to, and reaped. Standard output carries one line: the
command's process id, or why it could not be started. The supervisor ends as its command did: with the same status, 0 to
255, or by the same signal, so that 143 and SIGTERM stay apart.

Standard library only, and no import of ``offload_lab``: it starts in milliseconds, with ``python -I -S``.
"""

import ctypes
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
KILL_S = 5.0  # for what was sent SIGKILL to be gone; only a process in an uninterruptible call needs longer


def is_linux() -> bool:
    """As in offload_lab/system.py, which cannot be imported here."""
    return sys.platform == "linux" and os.environ.get("LAB_PRETEND_SYSTEM", "linux") == "linux"


def prctl(option: int, value: int) -> None:
    """Linux only, and best effort elsewhere: what it adds is for accidents that the rest does not cover."""
    if is_linux():
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def die_with_supervisor() -> None:
    """In the command, before it starts: SIGTERM if the supervisor itself is killed."""
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def children() -> list[int]:
    """Direct children; as a subreaper also every orphan, even one that left its process group."""
    if not is_linux():
        return []
    with suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]
    return []


def signal_all(leader: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)
    for pid in children():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def reap(leader: subprocess.Popen[bytes]) -> bool:
    """Collect ended children; true once no child is left."""
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == leader.pid:
                leader.returncode = os.waitstatus_to_exitcode(ended[1])  # Popen cannot ask for it any more
        return False
    return True


def group_lives(leader: int) -> bool:
    """Whether a process of its group is left: where orphans go to init, they are no children of ours."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, 0)
        return True
    return False


def nudge(leader: subprocess.Popen[bytes]) -> None:
    """Interrupt a sleeping leader: its system call returns early.

    A uWSGI master that is ending waits for its dead workers in steps of a second (core/master.c: SIGCHLD has no
    handler), and a test run stops hundreds of masters.
    """
    with suppress(ProcessLookupError):
        leader.send_signal(signal.SIGSTOP)
        leader.send_signal(signal.SIGCONT)


def end(leader: subprocess.Popen[bytes], grace_s: float) -> None:
    """SIGTERM, and SIGKILL to all that is left after `grace_s`; returns when all are reaped, or KILL_S later. Without a
    grace: SIGKILL at once.

    The leader gets SIGTERM first and alone: a master ends its workers itself, and some hang at a second SIGTERM.
    """
    deadline = time.monotonic() + grace_s
    if grace_s:
        with suppress(ProcessLookupError):
            leader.send_signal(signal.SIGTERM)
        while leader.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
            nudge(leader)
        signal_all(leader.pid, signal.SIGTERM)
    while not reap(leader) or group_lives(leader.pid):
        if time.monotonic() > deadline + KILL_S:
            left = children() or f"process group {leader.pid}"
            print(f"the supervisor gave up on {left}: they survived SIGKILL", file=sys.stderr, flush=True)
            return
        if time.monotonic() >= deadline:
            signal_all(leader.pid, signal.SIGKILL)  # again and again: each death hands us the orphans it leaves
        time.sleep(0.01)


def end_like(status: int) -> None:
    """Exit with `status`, or die of the signal -`status`. A signal that leaves a core dump leaves none here."""
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


def tell_owner(line: str) -> None:
    with suppress(BrokenPipeError):  # it died while the command was started: the lifeline is closed as well
        os.write(1, f"{line}\n".encode())


def wait_for_owner(leader: subprocess.Popen[bytes]) -> bool:
    """Wait for the lifeline or for the command's own end. True if stdin closed without `stop`: the owner died."""
    awake, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while leader.poll() is None:
        readable, _, _ = select.select([0, awake], [], [])
        if 0 in readable:
            return not os.read(0, 16)
        os.read(awake, 512)
    return False


def main(grace_s: float, scratch: str, command: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # only the lifeline decides; the command must not inherit SIG_IGN
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        leader = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True, preexec_fn=die_with_supervisor
        )
    except OSError as error:
        tell_owner(f"cannot start {command[0]}: {error.strerror}")
        return 127
    tell_owner(str(leader.pid))
    orphaned = wait_for_owner(leader)
    # Without its leader no process can end the children in order, so they get no grace.
    end(leader, 0.0 if leader.returncode is not None else grace_s)
    if orphaned and scratch:
        shutil.rmtree(scratch, ignore_errors=True)
    return leader.returncode or 0


if __name__ == "__main__":
    end_like(main(float(sys.argv[1]), sys.argv[2], sys.argv[3:]))
