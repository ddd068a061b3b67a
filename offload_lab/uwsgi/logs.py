"""What uWSGI writes into its log."""

import re

CHANGES = re.compile(r"^.*(uWSGI process \d+ got|DAMN|Respawned|respawning too fast).*$", re.MULTILINE)


def worker_changes(log: str) -> list[str]:
    """The lines about workers that died and workers that took their place."""
    return [found.group() for found in CHANGES.finditer(log)]
