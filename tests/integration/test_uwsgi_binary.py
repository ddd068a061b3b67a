"""Which uWSGI is found, what it can, and what it says of itself over its stats socket."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

from offload_lab.errors import (
    LabError,
    MissingDependencyError,
    UnknownNameError,
)
from offload_lab.process.background import Background
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.stats import read_stats


def test_the_wheel_can_what_the_stages_need():
    wheel = binary.find("wheel")
    assert wheel.pcre
    assert wheel.gevent
    assert not wheel.route_works


def test_an_engine_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setenv("LAB_UWSGI", "wheal")
    with pytest.raises(UnknownNameError, match=r"no uWSGI 'wheal'; did you mean wheel\?"):
        binary.find()


PROGRAMS = {
    "silent": ("#!/bin/sh\nexit 0\n", "prints nothing for --help"),
    "no program": ("not a program", "cannot be run: Exec format error"),
    "hangs": ("#!/bin/sh\nread -r never < fifo\n", r"did not answer --help within 0\.5 s"),
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_program_that_is_no_uwsgi_is_named(tmp_path, monkeypatch, kind):
    text, says = PROGRAMS[kind]
    program = tmp_path / "uwsgi"
    program.write_text(text)
    program.chmod(0o755)
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(binary, "ASK_S", 0.5 if kind == "hangs" else 30.0)
    with pytest.raises(LabError, match=rf"{program} {says}"):
        binary.find(str(program))


@pytest.mark.parametrize("stamp", ["", "{}", "[]", '{"inputs": {"python": 3}}'])
def test_a_stamp_that_was_torn_is_a_missing_engine(tmp_path, monkeypatch, stamp):
    (tmp_path / "uwsgi").touch()
    (tmp_path / "engine.json").write_text(stamp)
    monkeypatch.setattr(binary, "BUILT", tmp_path)
    with pytest.raises(MissingDependencyError, match=r"engine\.json cannot be read.*\./lab engine --force"):
        binary.find("built")


def whole_stats(text):
    """What `read_stats` makes of a stats server that says `text` and closes."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = Path(folder) / "stats.sock"
        listener.bind(str(path))
        listener.listen()

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(text)

        with Background("a stats server", serve, lambda: None):
            return read_stats(path)


def test_the_stats_are_read_whole():
    assert whole_stats(b'{"workers": [], "sockets": [], "text": "' + b"x" * 200_000 + b'"}')["workers"] == []


@pytest.mark.parametrize("text", [b"", b'{"workers": [', b"\xff\xfe"])
def test_stats_that_are_cut_are_a_failed_connection(text):
    with pytest.raises(OSError, match=r"it closed without an answer|, which is not a stats server's JSON;"):
        whole_stats(text)


def test_a_stats_server_that_never_answers_is_a_failed_connection(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        with pytest.raises(OSError, match=r"no whole answer within 0\.1 s"):
            read_stats(tmp_path / "s", within_s=0.1)
