from pathlib import Path

from offload_lab.stages.site.arguments import arguments
from offload_lab.stages.site.settings import *

ROOT_URLCONF = "sseproject.urls"
TEMPLATES[0]["DIRS"].append(Path(__file__).with_name("templates"))

# Where the front offloads to, written as in its route; blocking.ini names none
OFFLOAD_BACKEND = arguments().get("backend")
if OFFLOAD_BACKEND:
    MIDDLEWARE = ["sseproject.middleware.OffloadMiddleware", *MIDDLEWARE]  # first, so that it has the last word
