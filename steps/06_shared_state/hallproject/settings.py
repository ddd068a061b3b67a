import sys
from pathlib import Path

from offload_lab.stages.site.settings import *

ROOT_URLCONF = "hallproject.urls"
TEMPLATES[0]["DIRS"].append(Path(__file__).with_name("templates"))

# What the INI's pyargv says, behind the run folder: this front's views, and what they need to know.
HALL_VIEWS, *HALL_ARGUMENTS = sys.argv[2:]
