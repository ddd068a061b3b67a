"""./lab adopt: what is deployed, beside a project of one's own."""

import os
from collections import Counter
from pathlib import Path

import click

from offload_lab.adopt import File, Project, look, plan, write
from offload_lab.adopt.files import TO, taken
from offload_lab.lint.targets import examine
from offload_lab.lint.text import Style, show
from offload_lab.stages import manifest

from .console import out, say

SETTINGS = """\
import os
from pathlib import Path

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
ALLOWED_HOSTS = os.environ["DJANGO_ALLOWED_HOSTS"].split()
DEBUG = False
INSTALLED_APPS += {apps}
MIDDLEWARE.insert(0, "offload.middleware.OffloadMiddleware")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
LOGIN_REDIRECT_URL = "/"
REDIS_URL = os.environ["REDIS_URL"]
OFFLOAD_BACKENDS = dict(pair.split("=", 1) for pair in os.environ["OFFLOAD_BACKENDS"].split())
DOWNLOADS = Path(os.environ["DOWNLOADS"])
DATABASES["default"]["NAME"] = os.environ["DATABASE"]  # where it is SQLite"""


@click.command(epilog="Example: ./lab adopt --dry-run ../shop/manage.py")
@click.argument("manage", metavar="PATH/TO/manage.py", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be written, and how it differs.")
def adopt(manage: Path, dry_run: bool) -> None:
    """Look at a Django project, and put the files that are deployed beside it, with its names filled in.

    Nothing that is there is changed: what is to be added to its settings and URLs is printed.
    """
    project, step = look(manage), manifest.find_deployed().folder
    files, left_out = plan(project, step), taken(project, step)
    say_project(project)
    lint(project)
    say_files(files, dry_run)
    for name in left_out:
        say(
            f"{name}/ is another app of yours: ours of that name is left out; copy it under a name of your own",
            style="yellow",
        )
    if not dry_run:
        write(files)
    say_rest(project, step, left_out)


def say_project(project: Project) -> None:
    out.print(f"[bold]{project.name}[/]  in {project.folder}", soft_wrap=True)
    out.print(f"  settings: {project.settings}\n  wsgi:     {project.wsgi}", markup=False, soft_wrap=True)


def lint(project: Project) -> None:
    """Of the uWSGI configurations that are there already."""
    ours = project.folder / TO
    names = [str(path) for path in project.inis if ours not in path.parents]
    if names:
        for line in show(examine(names, os.environ), Style(False)):
            out.print(line, markup=False, soft_wrap=True)


def say_files(files: list[File], dry_run: bool) -> None:
    before = Counter(file.state for file in files)
    verb = "would be written" if dry_run else "written"
    out.print(f"{before['new']} files {verb}, {before['same']} are there already, {before['kept']} differ and are kept")
    for file in files:
        if file.state == "new":
            out.print(f"  new   {file.path}  ({len(file.text.splitlines())} lines)", markup=False, soft_wrap=True)
        if file.state == "kept":
            out.print(f"  kept  {file.path}", markup=False, soft_wrap=True)
            if dry_run:
                out.print(file.difference(), markup=False, highlight=False, soft_wrap=True)


def say_rest(project: Project, step: Path, left_out: list[str]) -> None:
    apps = [name for name in ("offload", "notifications", "chat", "downloads") if name not in left_out]
    out.print(f"\nat the end of [bold]{project.settings}[/]:\n")
    out.print(SETTINGS.format(apps=apps), markup=False, highlight=False, soft_wrap=True)
    out.print("\nin your [bold]urlpatterns[/], in front (from django.urls import [bold]include[/], path):\n")
    out.print('path("accounts/", include("django.contrib.auth.urls")),', markup=False, highlight=False)
    for name in apps:
        out.print(f'path("", include("{name}.urls")),', markup=False, highlight=False)
    out.print(
        f'\nthen steps/{step.name}/README.md, from "On the server" on: {TO}/ is what it calls these files',
        soft_wrap=True,
        markup=False,
    )
