"""Helper threads whose errors reach the caller."""

import threading
import time
from collections.abc import Callable
from typing import Self

from offload_lab.timeouts import scaled

from .deadlines import Deadline

JOIN_S = 60.0  # beyond the longest timeout of what runs in such a thread


class Background:
    """Runs `work` in a daemon thread while the block lasts. Its end waits for the thread, at most `join_s` seconds.

    An exception of `work` is kept in `error`. It is raised in the caller by `check` and `wait_until`, or at the block's
    end unless another exception ends the block. `ask_to_end` makes `work` return.
    """

    def __init__(
        self, name: str, work: Callable[[], None], ask_to_end: Callable[[], object], join_s: float = JOIN_S
    ) -> None:
        self.name = name
        self.error: BaseException | None = None
        self._raised = False
        self._work, self._ask_to_end, self._join_s = work, ask_to_end, join_s
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error

    def check(self) -> None:
        """Raises: the exception of `work`, if there is one."""
        if self.error is not None:
            self._raised = True
            raise self.error

    def wait_until(self, holds: Callable[[], bool], timeout_s: float, describe: Callable[[], str]) -> None:
        """Returns once `holds` returns true.

        Raises: the thread's exception as soon as there is one; TimeoutError with the text of `describe`, also once the
            thread has ended.
        """
        deadline = Deadline(timeout_s)
        while True:
            has_ended = not self._thread.is_alive()  # asked first: what it leaves is complete then
            if holds():
                break
            self.check()
            if has_ended or not deadline.left():
                raise TimeoutError(describe())
            time.sleep(0.02)
        self.check()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def end(self) -> None:
        """Make `work` return, and wait for the thread.

        Raises: the exception of `work`; TimeoutError where the thread does not end.
        """
        self._ask_to_end()
        seconds = scaled(self._join_s)
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise TimeoutError(f"{self.name} did not end within {seconds:g} s")
        if not self._raised:
            self.check()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.end()
        except Exception:
            if kind is None:
                raise
