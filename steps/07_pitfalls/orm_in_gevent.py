"""A gevent app that queries PostgreSQL through Django's ORM. The driver decides whether all others wait meanwhile."""

import sys
from urllib.parse import parse_qs

import django
from django.conf import settings
from django.db import connection, models

from offload_lab.stages.site import run_folder, with_ping
from offload_lab.stages.site.arguments import argument

if argument("driver") == "psycopg2":
    sys.modules["psycopg"] = None  # Django would prefer psycopg 3

DATABASE = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": str(run_folder() / "postgres"),
    "USER": "lab",
    "NAME": "postgres",
}
settings.configure(DATABASES={"default": DATABASE})
django.setup()


class Seat(models.Model):  # a model needs the database's limits, so the driver is imported now
    class Meta:
        app_label = "pitfalls"


@with_ping
def application(environ, start_response):
    [seconds] = parse_qs(environ["QUERY_STRING"]).get("seconds", ["0"])
    try:
        seats = list(Seat.objects.raw("SELECT 1 AS id, pg_sleep(%s)", [float(seconds)]))
    finally:
        connection.close()  # Django closes at the end of its own requests, and this is none of them
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{len(seats)} seat\n".encode()]
