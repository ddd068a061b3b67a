"""Once for all servers: a database with the demo users, the cookie of a user logged in through Django's form, a file.

``BENCH_RUN=folder python -m bench.site.prepare`` fills the folder; each server starts with a copy of it.
"""

from django.test import Client  # type: ignore[import-untyped]

from offload_lab.stages.site import make_file, run_folder
from offload_lab.stages.site.users import DEMO_USERS
from offload_lab.stages.site.wsgi import prepare_database

from . import wsgi  # noqa: F401 (sets Django up)
from .feeds import FILE

COOKIE = "cookie"
FILE_MIB = 64


def main() -> None:
    prepare_database(run_folder() / "prepare.lock")
    client = Client(headers={"host": "127.0.0.1"})
    name = "ada"
    answer = client.post("/accounts/login/", {"username": name, "password": DEMO_USERS[name]})
    assert answer.status_code == 302, answer
    (run_folder() / COOKIE).write_text(f"sessionid={client.cookies['sessionid'].value}")
    make_file(run_folder() / FILE, FILE_MIB)


if __name__ == "__main__":
    main()
