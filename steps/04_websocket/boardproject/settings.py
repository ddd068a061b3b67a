from pathlib import Path

from offload_lab.stages.site.settings import *

ROOT_URLCONF = "boardproject.urls"
TEMPLATES[0]["DIRS"].insert(0, Path(__file__).with_name("templates"))

# Pages of these origins may open the board besides our own, such as "https://www.example.org"; scheme and port count.
BOARD_ORIGINS = []
