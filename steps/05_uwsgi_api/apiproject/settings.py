from pathlib import Path

from boardproject.settings import *

from offload_lab.stages.site import run_folder
from offload_lab.stages.site.arguments import argument

ROOT_URLCONF = "apiproject.urls"
TEMPLATES[0]["DIRS"].insert(0, Path(__file__).with_name("templates"))

# Where a connection may be offloaded to. A view chooses one by its name; nothing that a client sends gets into it.
OFFLOAD_SERVERS = {"clock": f"{run_folder()}/sse.sock", "board": f"{run_folder()}/board.sock"}
# How: "add_var" or "route"
OFFLOAD_BY = argument("offload_by")
