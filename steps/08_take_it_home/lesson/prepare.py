"""A database with ada and grace in it, for a stage: ``prepare.py PROJECT``, with the project's environment."""

import sys
from importlib import import_module
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import_module("django").setup()
call_command = import_module("django.core.management").call_command
call_command("migrate", verbosity=0)
call_command("loaddata", str(Path(__file__).with_name("demo.json")), verbosity=0)
