"""The one console: everything a person reads goes through it. Errors go to standard error."""

from rich.console import Console

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
