"""The answer to whoever cannot be carried at the moment."""

import random


def not_now(start_response, why: bytes) -> list[bytes]:
    """503, and when to come back: not the same for everybody, else all come back at once."""
    again = str(random.randint(2, 6))  # noqa: S311
    start_response("503 Service Unavailable", [("Retry-After", again), ("Content-Type", "text/plain")])
    return [why + b"\n"]
