import sys
from pathlib import Path

from boardproject.settings import *

from offload_lab.stages.site import run_folder

ROOT_URLCONF = "apiproject.urls"
TEMPLATES[0]["DIRS"].insert(0, Path(__file__).with_name("templates"))

# Where a request may be handed to. A view picks one by its name; nothing that a client sends goes into it.
OFFLOAD_SERVERS = {"clock": f"{run_folder()}/sse.sock", "board": f"{run_folder()}/board.sock"}
# How: "add_var" or "route". The second word of the INI's pyargv.
OFFLOAD_BY = sys.argv[2]
