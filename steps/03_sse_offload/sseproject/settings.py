from pathlib import Path

from offload_lab.site.settings import *

ROOT_URLCONF = "sseproject.urls"
TEMPLATES[0]["DIRS"].append(Path(__file__).with_name("templates"))
