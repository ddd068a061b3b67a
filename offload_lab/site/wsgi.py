"""Django as a WSGI application that is ready: database migrated, demo users made, /ping answered before it."""

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import WSGIApplication, run_folder, with_ping

DEMO_USERS = {"ada": "lovelace", "grace": "hopper"}


def django_application(settings_module: str) -> WSGIApplication:
    """The application for `settings_module`. Its run folder may be new, used before, or shared with other processes."""
    os.environ["DJANGO_SETTINGS_MODULE"] = settings_module
    from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]  # needs the settings' name first

    application: WSGIApplication = get_wsgi_application()
    prepare_database(run_folder() / "prepare.lock")
    return with_ping(application)


def prepare_database(lock: Path) -> None:
    """Migrate and make the demo users where they are missing. Processes take turns at `lock`."""
    from django.contrib.auth import get_user_model  # type: ignore[import-untyped]
    from django.contrib.auth.hashers import make_password  # type: ignore[import-untyped]
    from django.core.management import call_command  # type: ignore[import-untyped]
    from django.db import connections  # type: ignore[import-untyped]

    with lock.open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        call_command("migrate", verbosity=0, interactive=False)
        users = get_user_model().objects
        missing = [name for name in DEMO_USERS if not users.filter(username=name).exists()]
        with ThreadPoolExecutor() as pool:  # a password takes a third of a second to hash, and lets others run
            hashes = pool.map(make_password, map(DEMO_USERS.__getitem__, missing))
        for name, hashed in zip(missing, hashes, strict=True):
            users.create(username=name, password=hashed)
    connections.close_all()  # the master loads the app, the workers are forks: none may inherit an open database
