from pathlib import Path

from offload_lab.stages.site.settings import *

ROOT_URLCONF = "feedproject.urls"
TEMPLATES[0]["DIRS"].append(Path(__file__).with_name("templates"))
