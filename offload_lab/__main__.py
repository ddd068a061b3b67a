"""``python -m offload_lab``: what ./lab runs once everything is installed."""

from .cli.main import main

main()
