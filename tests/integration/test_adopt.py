"""./lab adopt on the layouts that public Django projects have: right names, and nothing written over."""

import pytest
from click.testing import CliRunner

from offload_lab.adopt import look
from offload_lab.cli.main import lab
from offload_lab.errors import LabError
from offload_lab.lint.targets import examine

MANAGE = 'import os, sys\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")\n'
WSGI = """\
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")
application = get_wsgi_application()
"""
# layout → files, and then what is to be found: the folder, name, settings and wsgi module
LAYOUTS = {
    "settings-package": (  # django-admin startproject
        {
            "mysite/manage.py": MANAGE.format(settings="mysite.settings"),
            "mysite/mysite/settings.py": "",
            "mysite/mysite/wsgi.py": WSGI.format(settings="mysite.settings"),
            "mysite/.venv/lib/x/wsgi.py": WSGI.format(settings="other.settings"),
        },
        ("mysite", "mysite", "mysite.settings", "mysite.wsgi"),
    ),
    "split-settings": (  # cookiecutter-django: development in manage.py, production in wsgi.py
        {
            "book_shop/manage.py": MANAGE.format(settings="config.settings.local"),
            "book_shop/config/settings/base.py": "",
            "book_shop/config/settings/production.py": "",
            "book_shop/config/wsgi.py": WSGI.format(settings="config.settings.production"),
            "book_shop/book_shop/users/models.py": "",
        },
        ("book_shop", "book-shop", "config.settings.production", "config.wsgi"),
    ),
    "subfolder": (  # a repository whose project is below backend/, with a wsgi package
        {
            "library/README.md": "",
            "library/backend/manage.py": MANAGE.format(settings="core.settings"),
            "library/backend/core/settings.py": "",
            "library/backend/core/wsgi/__init__.py": WSGI.format(settings="core.settings"),
        },
        ("library/backend", "library", "core.settings", "core.wsgi"),
    ),
}


def make(folder, files):
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def adopt(*arguments):
    done = CliRunner().invoke(lab, ["adopt", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
    files, (folder, *names) = LAYOUTS[request.param]
    make(tmp_path, files)
    return tmp_path / folder, names


def test_the_names_are_the_projects(layout):
    folder, (name, settings, wsgi) = layout
    project = look(folder / "manage.py")
    assert (project.folder, project.name, project.settings, project.wsgi) == (folder, name, settings, wsgi)


def test_the_files_have_those_names_and_what_was_there_is_as_it_was(layout):
    folder, (name, settings, wsgi) = layout
    before = contents(folder)
    adopt(folder / "manage.py")
    after = contents(folder)
    assert {path: after[path] for path in before} == before
    front = (folder / "deploy" / "front.ini").read_text()
    assert f"module = {wsgi}\n" in front
    assert f"socket = /run/{name}/front.sock\n" in front
    assert f"DJANGO_SETTINGS_MODULE={settings}\n" in (folder / "deploy" / f"{name}.env").read_text()
    assert f"/etc/{name}/front.ini" in (folder / "deploy" / "systemd" / f"{name}-front.service").read_text()
    assert (folder / "notifications" / "views.py").exists()
    assert "shop" not in "".join(path.read_text() for path in (folder / "deploy").rglob("*.*")).replace(name, "")


def test_a_dry_run_writes_nothing_and_shows_how_what_is_there_differs(layout):
    folder, _ = layout
    make(folder, {"deploy/front.ini": "[uwsgi]\n; ours\n"})
    before = contents(folder)
    shown = adopt(folder / "manage.py", "--dry-run")
    assert contents(folder) == before
    assert "-; ours" in shown
    assert "+strict = true" in shown


def test_what_differs_is_kept_and_a_second_time_writes_nothing(layout):
    folder, _ = layout
    make(folder, {"deploy/front.ini": "[uwsgi]\n; ours\n"})
    adopt(folder)
    assert (folder / "deploy" / "front.ini").read_text() == "[uwsgi]\n; ours\n"
    before = contents(folder)
    again = adopt(folder)
    assert contents(folder) == before
    assert "0 files written" in again
    assert "1 differ and are kept" in again


def test_another_app_of_that_name_is_left_alone_and_said_so(layout):
    folder, _ = layout
    make(folder, {"chat/__init__.py": "", "chat/models.py": "ours = True\n"})
    shown = adopt(folder)
    assert sorted(path.name for path in (folder / "chat").iterdir()) == ["__init__.py", "models.py"]
    assert "chat/ is another app of yours" in shown


def test_the_linter_judges_the_inis_that_are_there(layout):
    folder, _ = layout
    make(folder, {"uwsgi.ini": "[uwsgi]\nmaster = true\nhttp-socket = 127.0.0.1:8000\noffload-treads = 2\n"})
    assert "there is offload-threads" in adopt(folder, "--dry-run")


def test_what_is_no_project_is_said_to_be_none(tmp_path):
    (tmp_path / "manage.py").write_text("print('hello')\n")
    with pytest.raises(LabError, match="sets no DJANGO_SETTINGS_MODULE"):
        look(tmp_path)
    with pytest.raises(LabError, match=r"nothing\.py is not there"):
        look(tmp_path / "nothing.py")


def test_what_adopt_writes_is_as_silent_for_the_linter_as_the_step(layout):
    folder, _ = layout
    adopt(folder)
    report = examine([str(folder / "deploy")], {})
    assert (report.findings, report.unusable) == ([], [])
