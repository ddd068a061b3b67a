"""The archive for a room without a network: what is in it, what stops it, and that the room needs nothing else."""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from offload_lab.cli import workshop
from offload_lab.course import bundle as packing
from offload_lab.course.bundle import DownloadError, NoCloneError, find_pip, other_patches, pack
from offload_lab.paths import ROOT
from offload_lab.testing import require, require_program
from offload_lab.timeouts import scaled

pytestmark = pytest.mark.full

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
LOCKS = ("base", "dev", "notebooks")
TOOLS = (
    "sh",
    "env",
    "dirname",
    "readlink",
    "cat",
    "cksum",
    "date",
    "rm",
    "ln",
    "sleep",
)  # all that ./lab needs besides Python
UV = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
OURS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
MAKER = {"GIT_AUTHOR_NAME": "ada", "GIT_AUTHOR_EMAIL": "ada@example.org"}
MAKER |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in MAKER.items()}


def make_wheel(shelf):
    """ticket 1.0, a package of one line; returns the pin for it."""
    files = {
        "ticket.py": "NUMBER = 42\n",
        "ticket-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: ticket\nVersion: 1.0\n",
        "ticket-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {name: hashlib.sha256(text.encode()).digest() for name, text in files.items()}
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()},{len(files[name])}\n"
        for name, digest in digests.items()
    )
    files["ticket-1.0.dist-info/RECORD"] = f"{record}ticket-1.0.dist-info/RECORD,,\n"
    path = shelf / "ticket-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return f"ticket==1.0 \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def git(folder, *arguments):
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, env={**os.environ, **OURS, **MAKER})


def make_clone(root, pin):
    """A repository whose command line prints its arguments, with one file changed and one unknown to git."""
    require_program("git")
    for folder in ("requirements", "offload_lab"):
        (root / folder).mkdir(parents=True)
    shutil.copy(ROOT / "lab", root)
    for lock in LOCKS:
        (root / "requirements" / f"{lock}.lock").write_text(pin)
    (root / "offload_lab" / "__main__.py").write_text("import sys, ticket; print(ticket.NUMBER, *sys.argv[1:])\n")
    (root / "pyproject.toml").write_text('[project]\nname = "lab"\nversion = "1.2"\n')
    git(root.parent, "init", "--quiet", str(root))
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "a project")
    (root / "pyproject.toml").write_text("half a thought")
    (root / "diary.txt").write_text("private")
    return root


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """The folder from which pip downloads here, instead of from a network; and a pin of what lies in it."""
    folder = tmp_path_factory.mktemp("shelf")
    pin = make_wheel(folder)
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull, **OURS}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in nowhere.items():
            patch.setenv(name, value)
        yield pin


@pytest.fixture(scope="module")
def reported():
    return []


@pytest.fixture(scope="module")
def made(shelf, reported, tmp_path_factory):
    root = make_clone(tmp_path_factory.mktemp("desk") / "a clone", shelf)
    return pack(root, root / "dist", lambda lock, share: reported.append((lock, share)))


def test_what_is_committed_is_in_it_and_nothing_else(made):
    with tarfile.open(made.archive) as archive:
        members = {member.name.removeprefix("lab-1.2/"): member for member in archive if member.isfile()}
        project = archive.extractfile("lab-1.2/pyproject.toml").read().decode()
    tracked = {"lab", "pyproject.toml", "offload_lab/__main__.py", *(f"requirements/{lock}.lock" for lock in LOCKS)}
    wheels = {"wheels/ticket-1.0-py3-none-any.whl", "wheels/made-for"}
    assert set(members) == tracked | wheels | {"OFFLINE.md"}
    assert project.startswith("[project]")
    assert members["lab"].mode & 0o111
    assert {(member.uid, member.gid, member.uname) for member in members.values()} == {(0, 0, "")}
    assert (made.uncommitted, made.packages, made.sources) == (2, 1, ())


def test_its_name_and_its_page_say_for_which_python_it_is(made):
    assert made.archive.name.startswith(f"lab-1.2-py{MINOR}-")
    with tarfile.open(made.archive) as archive:
        page = archive.extractfile("lab-1.2/OFFLINE.md").read().decode()
    assert f"CPython {MINOR} on " in page
    assert made.commit in page
    assert f"tar -xzf {made.archive.name}\ncd lab-1.2\n./lab demo" in page


def test_it_reports_progress_and_leaves_only_the_archive(made, reported):
    assert [lock for lock, share in reported if share == 1] == [f"{lock}.lock" for lock in LOCKS]
    assert list(made.archive.parent.iterdir()) == [made.archive]


@pytest.mark.timeout(1200)  # makes an environment with pip in it, also on a busy machine
@pytest.mark.parametrize("installer", ["pip", "uv"] if UV else ["pip"])  # nothing here needs uv
def test_lab_installs_from_it_without_a_network_or_says_why_not(made, installer, tmp_path):
    alone = without_network()
    lab = room(made, tmp_path)
    env = {"PATH": str(tools(tmp_path / "bin", installer)), "HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}

    def run():
        return subprocess.run([*alone, lab, "demo"], env=env, capture_output=True, text=True)

    first = run()
    assert (first.returncode, first.stdout) == (0, "42 demo\n"), first.stderr
    lock = lab.with_name("requirements") / "base.lock"
    lock.write_text(lock.read_text().replace("1.0", "2.0"))  # as for a Python that these wheels do not fit
    second = run()
    assert second.returncode == 1
    assert f"wheels/ is for CPython {MINOR} on" in second.stderr


def without_network():
    """What to write before a command; with it, its loopback interface is down as well."""
    alone = [require_program("unshare"), "--map-root-user", "--net"]
    able = subprocess.run([*alone, "true"], capture_output=True).returncode == 0
    require(able, "the right to make a network namespace", "allow user namespaces, or run as root")
    return alone


def test_a_stage_says_at_once_when_the_loopback_interface_is_down():
    demo = [sys.executable, "-m", "offload_lab", "demo", "01"]
    answer = subprocess.run([*without_network(), *demo], cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 1
    assert "the loopback interface is down" in " ".join(answer.stderr.split())


def room(made, folder):
    """The archive unpacked, where there is nothing else."""
    with tarfile.open(made.archive) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        archive.extractall(folder / "a room")
    return folder / "a room" / "lab-1.2" / "lab"


def tools(folder, installer):
    """A folder for the path with nothing but the tools, this Python, and the installer."""
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool))
    (folder / "python3").symlink_to(Path(sys.base_prefix) / "bin" / f"python{MINOR}")
    if installer == "uv":
        (folder / "uv").symlink_to(UV)
    return folder


def test_a_folder_that_is_no_clone_is_named_with_what_to_do(tmp_path):
    with pytest.raises(NoCloneError, match=r"is no git clone of its own .*make one with git clone.*pass that one on"):
        pack(tmp_path, tmp_path / "dist", print)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_inside_another_clone_is_not_taken_for_it(shelf, tmp_path):
    inner = make_clone(tmp_path / "outer", shelf) / "unpacked"
    inner.mkdir()
    with pytest.raises(NoCloneError, match=f"the clone around it is {tmp_path / 'outer'}"):
        pack(inner, inner / "dist", print)


def test_a_package_with_another_hash_stops_it_and_leaves_nothing(shelf, tmp_path):
    root = make_clone(tmp_path / "clone", f"{shelf[:-65]}{'0' * 64}\n")
    with pytest.raises(DownloadError, match=r"could not download base\.lock(.|\n)*Expected sha256 0{64}"):
        pack(root, root / "dist", lambda lock, share: None)
    assert list((root / "dist").iterdir()) == []


def test_what_builds_a_package_without_a_wheel_is_pinned_and_so_packed():
    """pip 23 of Python 3.11 asks for both, and in a room there is nothing to ask."""
    pins = "".join(lock.read_text() for lock in (ROOT / "requirements").glob("*.lock"))
    assert set(re.findall(r"^(setuptools|wheel)==\S+ +--hash=", pins, re.MULTILINE)) == {"setuptools", "wheel"}


def test_what_another_patch_release_needs_is_packed_too():
    lock = (
        f"plain==1.0 \\\n    --hash=sha256:aa\n"
        f"later==2.0 ; python_full_version >= '{MINOR}.98' \\\n    --hash=sha256:bb \\\n    --hash=sha256:cc\n"
        f"here==3.0 ; python_full_version < '{MINOR}.98' \\\n    --hash=sha256:dd\n"
        f"elsewhere==4.0 ; sys_platform == 'win32' \\\n    --hash=sha256:ee\n"
    )
    [pins] = other_patches(lock, MINOR)
    assert pins.split() == ["later==2.0", "\\", "--hash=sha256:bb", "\\", "--hash=sha256:cc"]


def test_an_environment_without_pip_gets_one_for_the_moment(tmp_path, monkeypatch):
    monkeypatch.setattr(packing.importlib.util, "find_spec", lambda name: None)
    pip = find_pip(tmp_path)
    assert Path(pip[0]).is_relative_to(tmp_path)
    assert subprocess.run([*pip, "--version"], capture_output=True).returncode == 0


def test_the_command_says_what_it_made_and_for_whom(shelf, tmp_path, monkeypatch, capsys):
    root = make_clone(tmp_path / "clone", shelf)
    monkeypatch.setattr(workshop, "ROOT", root)
    monkeypatch.setattr(workshop, "DIST", root / "dist")
    book = tmp_path / "book"
    book.mkdir()
    (book / "index.html").write_text("the course")
    monkeypatch.setattr("offload_lab.course.reading.write_all.__defaults__", (book,))
    workshop.pack.callback()
    output = " ".join(capsys.readouterr().out.split())
    assert "base.lock is there dev.lock is there notebooks.lock is there" in output
    assert "packages: 1" in output
    assert "not in it: 2 files that differ from the commit" in output
    assert f"for CPython {MINOR} on" in output
    assert "&& cd lab-1.2 && ./lab demo" in output
    [archive] = (root / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        read = {name.partition("/read/")[2] for name in packed.getnames()}
    assert {"README.md", "book/index.html", "talk/talk-90.html", "talk/talk-210.html", "replays/live-06.html"} <= read
    assert "its book has no results" not in output


def test_lab_takes_the_python_for_which_the_packages_are(tmp_path):
    """Not the first of the path, which is another one."""
    shutil.copy(ROOT / "lab", tmp_path)
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "made-for").write_text("CPython 3.99 on Linux x86_64, glibc 2.36 or later\n")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in TOOLS:
        (programs / name).symlink_to(shutil.which(name))
    for name in ("python3", "python3.99"):
        (programs / name).write_text(f"#!/bin/sh\ncase $* in --version) echo {name} it is ;; *venv*) exit 1 ;; esac\n")
        (programs / name).chmod(0o755)
    answer = subprocess.run(
        [tmp_path / "lab", "list"], env={"PATH": str(programs)}, capture_output=True, text=True, timeout=scaled(60)
    )
    assert "making .venv with python3.99 it is" in answer.stderr
