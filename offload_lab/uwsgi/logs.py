"""Lines of uWSGI's log."""

import re

CHANGES = re.compile(r"^.*(uWSGI process \d+ got|DAMN|Respawned|respawning too fast).*$", re.MULTILINE)


def worker_changes(log: str) -> list[str]:
    """The lines about workers that died and were respawned."""
    return [found.group() for found in CHANGES.finditer(log)]
