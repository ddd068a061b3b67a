"""Django's settings, the same for every contestant: those of the project's stages, and the URLs of the contest."""

import os
import sys

# where the stages' settings look for it, behind whatever each server is started with
sys.argv.append(f"run={os.environ['BENCH_RUN']}")

from offload_lab.stages.site.settings import *  # noqa: E402, F403

ROOT_URLCONF = f"bench.site.{os.environ['BENCH_URLS']}"

# as Django's documentation advises where sessions are read often; every contestant has one process that runs Django
SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
AUTHENTICATION_BACKENDS = ["bench.site.users.Remembered"]
