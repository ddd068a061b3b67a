"""One child process: start, readiness, and a stop that leaves nothing of its process group behind."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from offload_lab.errors import NotReadyError, NotStoppedError, ProcessDiedError, StartError, StillRunningError
from offload_lab.text import printable

from .deadlines import Deadline, readable

SUPERVISOR = Path(__file__).with_name("supervisor.py")
GRACE_S = 5.0  # between SIGTERM and SIGKILL
HANDSHAKE_S = 30.0  # for the supervisor to say whether the command started; it needs milliseconds on an idle machine
REAP_S = 15.0  # beyond the grace, for the supervisor to kill and reap all that is left; it gives up sooner (KILL_S)
KILLED_S = 15.0  # for a supervisor that was sent SIGKILL
TAIL_BYTES = 8192  # read from the log's end, however much the child wrote


class Process:
    """A command under a supervisor (`offload_lab.process.supervisor`), which ends it when this Python process dies.

    `log` is the file that receives the child's stdout and stderr: unlike a pipe, it never blocks the child. `scratch`
    is a folder to remove if this process dies; `grace_s` the seconds between SIGTERM and SIGKILL. As a context manager
    it starts on entry and stops on exit.
    """

    default_grace_s: ClassVar[float] = GRACE_S  # of those that are given none

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        scratch: Path | None = None,
        env: Mapping[str, str] | None = None,
        grace_s: float | None = None,
    ) -> None:
        self.name, self.command, self.log = name, list(command), log
        self.pid = 0
        self._scratch, self._env = scratch, env
        self._grace_s = self.default_grace_s if grace_s is None else grace_s
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the supervisor and the command.

        Raises: StartError if the command cannot be executed; nothing is left running then.
        """
        supervisor = [sys.executable, "-I", "-S", str(SUPERVISOR), str(self._grace_s), str(self._scratch or "")]
        with self.log.open("ab") as log:
            self._supervisor = subprocess.Popen(
                supervisor + self.command,
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._env,
                start_new_session=True,  # Ctrl-C in the owner's terminal must not reach it
            )
        try:
            answer = self._handshake(Deadline(HANDSHAKE_S))
            if not answer.isdigit():
                raise StartError(f"{self.name}: {answer or 'the supervisor ended: ' + self.log_tail()}")
            self.pid = int(answer)
        except BaseException:  # Ctrl-C too
            self.stop()
            raise

    def _handshake(self, deadline: Deadline) -> str:
        """The supervisor's line: the command's process id, or why there is none; empty if it ended without a line."""
        assert self._supervisor is not None
        assert self._supervisor.stdout is not None
        answer = b""
        while not answer.endswith(b"\n"):
            if not readable(self._supervisor.stdout, deadline.left()):
                raise StartError(f"{self.name}: its supervisor did not answer within {deadline.seconds:g} s; try again")
            if not (chunk := self._supervisor.stdout.read(512)):
                break
            answer += chunk
        return answer.decode(errors="replace").strip()

    def status(self) -> int | None:
        """None while the child lives, else its exit status, 0 to 255; negative: the signal that ended it."""
        return 0 if self._supervisor is None else self._supervisor.poll()

    def check_lives(self) -> None:
        """Raises: ProcessDiedError once the child has ended."""
        if (status := self.status()) is not None:
            raise ProcessDiedError(self.name, status, self.log_tail())

    def wait_until(self, ready: Callable[[], bool], deadline: Deadline) -> None:
        """Returns once `ready` returns true and the child lives.

        Raises: ProcessDiedError once the child has ended, even if `ready` is true: another process may have answered;
            NotReadyError at the deadline.
        """
        while True:
            holds = ready()
            self.check_lives()  # after the probe: a child that ended meanwhile is not ready
            if holds:
                return
            if not deadline.left():
                raise NotReadyError(self.name, deadline.seconds, self.log_tail())
            time.sleep(min(0.02, deadline.left()))

    def wait_ended(self, deadline: Deadline) -> int:
        """Returns the exit status once the child has ended by itself.

        Raises: StillRunningError at the deadline.
        """
        while (status := self.status()) is None:
            if not deadline.left():
                raise StillRunningError(self.name, deadline.seconds, self.log_tail())
            time.sleep(min(0.02, deadline.left()))
        return status

    def ask_to_stop(self) -> None:
        """Begin to stop and return at once, so that several can stop at the same time. Does nothing if not running."""
        if self._supervisor is None or self._supervisor.stdin is None or self._supervisor.stdin.closed:
            return
        with suppress(BrokenPipeError):  # the child ended before, and its supervisor with it
            self._supervisor.stdin.write(b"stop")
        self._supervisor.stdin.close()

    def stop(self) -> None:
        """SIGTERM to the child, then to all it started, SIGKILL after the grace, reap. Does nothing if not running.

        Raises: NotStoppedError where a process is left after REAP_S more seconds.
        """
        self.ask_to_stop()
        if (supervisor := self._supervisor) is None:
            return
        try:
            # Ctrl-C ends this wait: the supervisor goes on stopping, and another call of `stop` waits for it again
            supervisor.wait(self._grace_s + REAP_S)
        except subprocess.TimeoutExpired as late:
            supervisor.kill()  # the child gets a SIGTERM by that (supervisor.die_with_supervisor)
            supervisor.wait(KILLED_S)
            raise NotStoppedError(self.name, self.pid, late.timeout) from None
        finally:
            if supervisor.returncode is not None:
                self._supervisor = None
                assert supervisor.stdout is not None
                supervisor.stdout.close()

    def log_tail(self, lines: int = 20) -> str:
        """The log's last lines, at most 8 KiB of them, safe to print."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
            text = log.read().decode(errors="replace").removesuffix("\n")
        return "\n".join(printable(line) for line in text.split("\n")[-lines:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
