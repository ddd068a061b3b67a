"""``python -m offload_lab``: what ./lab runs once everything is installed."""

from offload_lab.cli.main import main

main()
