"""One child process: start it, know when it is ready, stop its whole group, leave nothing behind."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import CannotStart, NotReady, ProcessDied
from .text import printable

KEEPER = Path(__file__).with_name("keeper.py")
GRACE_S = 5.0  # between SIGTERM and SIGKILL
TAIL_BYTES = 8192  # read from the log's end, however much the child wrote


class Deadline:
    """One monotonic deadline per operation, passed down. `seconds` counts from now."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._ends - time.monotonic())


class Process:
    """A command under a keeper (see `offload_lab.keeper`): it ends with this object's owner, come what may.

    `log` receives the child's output, both streams; it is a file, so a child that floods it never blocks on us.
    `scratch` is removed if the owner dies. As a context manager it starts on entry and stops on exit.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        scratch: Path | None = None,
        env: Mapping[str, str] | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        self.name, self.command, self.log = name, list(command), log
        self.pid = 0
        self._scratch, self._env, self._grace_s = scratch, env, grace_s
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises CannotStart if the command cannot be executed, and leaves nothing running then."""
        keeper = [sys.executable, "-I", "-S", str(KEEPER), str(self._grace_s), str(self._scratch or "")]
        with self.log.open("ab") as log:
            self._keeper = subprocess.Popen(
                keeper + self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._env,
                start_new_session=True,  # Ctrl-C in the owner's terminal must not reach it
            )
        assert self._keeper.stdout is not None
        answer = self._keeper.stdout.readline().decode().strip()
        if not answer.isdigit():
            self.stop()
            raise CannotStart(f"{self.name}: {answer or 'the keeper ended: ' + self.log_tail()}")
        self.pid = int(answer)

    def status(self) -> int | None:
        """None while the child lives, else its exit status (negative: the signal that ended it)."""
        if self._keeper is None:
            return 0
        code = self._keeper.poll()
        return code if code is None or code < 128 else code - 256

    def wait_until(self, ready: Callable[[], bool], deadline: Deadline) -> None:
        """Poll `ready` until it holds. Raises ProcessDied as soon as the child ends, NotReady at the deadline."""
        while not ready():
            if self.status() is not None:
                raise ProcessDied(self.name, self.status(), self.log_tail())
            if not deadline.left():
                raise NotReady(self.name, deadline.seconds, self.log_tail())
            time.sleep(0.02)

    def ask_to_stop(self) -> None:
        """Begin to stop, without waiting for it: several can end at the same time. Does nothing if not running."""
        if self._keeper is None or self._keeper.stdin is None or self._keeper.stdin.closed:
            return
        try:
            self._keeper.stdin.write(b"stop")
            self._keeper.stdin.close()
        except BrokenPipeError:
            pass  # the child ended before, and its keeper with it

    def stop(self) -> None:
        """SIGTERM to the child, then to all it started, SIGKILL after the grace, reap. Does nothing if not running."""
        self.ask_to_stop()
        if self._keeper is not None:
            keeper, self._keeper = self._keeper, None
            with keeper:  # closes the pipes and waits
                pass

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
