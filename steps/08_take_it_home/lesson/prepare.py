"""A database with ada and grace in it, for a stage: ``prepare.py PROJECT``, with the project's environment."""

import sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])

import django
from django.core.management import call_command

django.setup()
call_command("migrate", verbosity=0)
call_command("loaddata", str(Path(__file__).with_name("demo.json")), verbosity=0)
