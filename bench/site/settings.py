"""Django's settings, the same for every server: those of the stages, and the bench's URLs."""

import os
import sys

# the stages' settings read it there, after the server's own arguments
sys.argv.append(f"run={os.environ['BENCH_RUN']}")

from offload_lab.stages.site.settings import *  # noqa: E402, F403

ROOT_URLCONF = f"bench.site.{os.environ['BENCH_URLS']}"

# as Django's documentation advises where sessions are read often; one process runs Django
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
AUTHENTICATION_BACKENDS = ["bench.site.users.Remembered"]
