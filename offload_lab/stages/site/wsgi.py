"""Django as a WSGI application that is ready: database migrated, demo users made, /ping answered before it."""

import fcntl
import os
from pathlib import Path

from . import run_folder, with_ping
from .refusals import WSGIApplication
from .users import DEMO_USERS


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
    from django.core.management import call_command  # type: ignore[import-untyped]
    from django.db import connections  # type: ignore[import-untyped]

    with lock.open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        call_command("migrate", verbosity=0, interactive=False)
        users = get_user_model().objects
        for name, password in DEMO_USERS.items():
            if not users.filter(username=name).exists():
                users.create_user(name, password=password)
    connections.close_all()  # the master loads the app, the workers are forks: none may inherit an open database
