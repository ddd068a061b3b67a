"""A seat's memory on disk: who it is in which class, what waits to be sent, and what was queued last."""

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from offload_lab.errors import LabError
from offload_lab.exercises.workspace import shown, work

from .messages import Message


@dataclass
class Outbox:
    """`waiting`: messages that the class has not acknowledged, each with its number; `last_queued`: by subject,
    whether it was sent or not."""

    url: str
    code: str
    nickname: str
    seat: str = field(default_factory=lambda: secrets.token_hex(16))
    token: str = ""
    sequence: int = 0
    waiting: list[Message] = field(default_factory=list)
    last_queued: dict[str, Message] = field(default_factory=dict)

    def add(self, subject: str, kind: str, fields: Message) -> None:
        """Queue a message, as the last word on its subject."""
        self.sequence += 1
        self.waiting.append({"sequence": self.sequence, "kind": kind, **fields})
        self.last_queued[subject] = fields

    def save(self) -> None:
        """Replace the file in one step: after a crash it has the messages of before or of after, never half of them."""
        work().mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=work(), prefix=".class-", suffix=".new")  # mode 0600
        with os.fdopen(handle, "w") as new:
            json.dump(asdict(self), new)
            new.flush()
            os.fsync(new.fileno())
        os.replace(name, place())


def place() -> Path:
    return work() / ".class.json"


def load(url: str, code: str) -> Outbox | None:
    """What this learner left for the same class; None for another class, or a file that cannot be read."""
    try:
        data: dict[str, Any] = json.loads(place().read_text())
        found = Outbox(**data)
    except (OSError, ValueError, TypeError):
        return None
    return found if (found.url, found.code) == (url, code) else None


@contextmanager
def alone() -> Iterator[None]:
    """Raises: LabError where another ./lab join of this folder runs."""
    work().mkdir(parents=True, exist_ok=True)
    with (work() / ".class.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LabError(f"another ./lab join already sends what is in {shown(work())}; end it first") from None
        yield
