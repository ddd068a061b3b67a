"""Helper threads whose errors and endings do not get lost."""

import threading
import time
from collections.abc import Callable
from typing import Self

from offload_lab.timeouts import scaled

from .deadlines import Deadline

JOIN_S = 60.0  # beyond the longest timeout of what runs in such a thread


class Background:
    """`work` in a daemon thread from the block's begin; the block's end waits for it, at most `join_s` seconds.

    What `work` raises is kept in `error` and raised again in the caller: by `check`, which every wait for the thread's
    results calls, and by the block's end if nothing else has raised it and no other error ends the block. `ask_to_end`
    makes `work` return.
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
        """Raises: what the thread's work raised, if it did."""
        if self.error is not None:
            self._raised = True
            raise self.error

    def wait_until(self, holds: Callable[[], bool], timeout_s: float, say: Callable[[], str]) -> None:
        """Poll `holds`.

        Raises: the thread's error as soon as there is one, TimeoutError with what `say` gives.
        """
        deadline = Deadline(timeout_s)
        while not holds():
            self.check()
            if not deadline.left() or not self._thread.is_alive():
                raise TimeoutError(say())
            time.sleep(0.02)
        self.check()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def end(self) -> None:
        """Ask it to end and wait for that.

        Raises: its error, or TimeoutError where it does not end.
        """
        self._ask_to_end()
        self._thread.join(scaled(self._join_s))
        if self._thread.is_alive():
            raise TimeoutError(f"{self.name} did not end within {scaled(self._join_s):g} s")
        if not self._raised:
            self.check()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.end()
        except Exception:
            if kind is None:
                raise
