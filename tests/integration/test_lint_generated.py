"""The reader against uWSGI's own --show-config, on generated files: many in one start, since none meets another."""

import random
import re
import subprocess
from pathlib import Path

import pytest

from offload_lab.lint.targets import read
from offload_lab.timeouts import scaled
from offload_lab.uwsgi import binary
from offload_lab.uwsgi.config.reader import IMPORTS, PLACEHOLDERS, parse

ENVIRON = {"SITE": "north", "NAMED": "%(site)", "PATH": "/usr/bin:/bin", "HOME": "/"}
OPTIONS = ("pyargv", "add-header", "procname-prefix", "log-format", "pythonpath")
IGNORED = {*IMPORTS, *PLACEHOLDERS, "set"}
LOGIC = re.compile(r"(end-?)?(if|for)(-.*)?|end")
A_START = 40  # files; a start of uWSGI takes some 0.2 s


class Generator:
    """One file, or several that import each other. Own names begin with the number of the file: files read together do
    not meet."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._random = random.Random(seed)  # noqa: S311 (no secret)
        self._folder, self._seed = folder, seed
        self._files = 0

    def write(self) -> Path:
        return self._file(self._random.randint(3, 14), depth=0)

    def _file(self, lines: int, depth: int) -> Path:
        self._files += 1
        path = self._folder / f"f{self._seed}_{self._files}{self._random.choice(['.ini', '.ini', '.conf', '.x.ini'])}"
        body = ["[uwsgi]", *(line for _ in range(lines) for line in self._lines(depth))]
        before = ["processes = 9", "[other]", "threads = 7"] if self._random.random() < 0.2 else []
        end = self._random.choice(["\n", "\r\n"])
        path.write_bytes(end.join([*before, *body, "[last]", "vacuum = 1", ""]).encode())
        return path

    def _lines(self, depth: int) -> list[str]:
        choice = self._random.random()
        if choice < 0.45:
            return [self._line()]
        if choice < 0.6:
            return [self._placeholder()]
        if choice < 0.68:
            return [self._random.choice(["; a comment", "# another = one", "", "   ", "\t; indented"])]
        if choice < 0.9 or depth > 1:
            return self._block()
        return [f"{self._random.choice(['ini', 'ini'])} = {self._file(3, depth + 1)}"]

    def _line(self) -> str:
        name = self._random.choice([*OPTIONS, self._own(), self._own()])
        space = self._random.choice(["", " ", "  ", "\t"])
        return f"{space}{name}{space}={space}{self._value(name)}{space}"

    def _placeholder(self) -> str:
        kind = self._random.choice(["set-placeholder", "set-ph", "set"])
        name = self._own()
        return f"{kind} = {name}={self._value(name)}"

    def _own(self) -> str:
        return f"k{self._seed}{self._random.choice('abcdefgh')}"

    def _block(self) -> list[str]:
        condition = self._random.choice(
            [
                "if-env = SITE",
                "if-env = NOWHERE",
                "if-not-env = NOWHERE",
                "if-env = SITE=north",
                "if-file = /nowhere",
                "if-exists = /",
                "if-not-dir = /",
                f"if-opt = k{self._seed}a",
                f"if-not-opt = k{self._seed}b",
                f"if-opt = k{self._seed}a=a",
                "for = a b c",
                "for =  a   b",
                "for-times = 3",
                "for-times = 0",
                "if-reload = 1",
            ]
        )
        inside = [f"{self._random.choice(OPTIONS)} = x%(_)y{self._random.choice(['', ' %(_)'])}" for _ in range(2)]
        end = self._random.choice(["endif =", "end = ", "endfor =", "end-if", "end-for ="])
        return [condition, *inside, end]

    def _value(self, name: str) -> str:
        """Of own names only those with a lower letter: what refers to itself makes uWSGI crash."""
        lower = [letter for letter in "abcdefgh" if name in OPTIONS or letter < name[-1]] or ["_none"]
        names = [f"k{self._seed}{letter}" for letter in lower]
        return "".join(self._part(self._random.choice(names)) for _ in range(self._random.randint(0, 3)))

    def _part(self, name: str) -> str:
        return self._random.choice(
            [
                "a",
                "7",
                " b",
                "=",
                "; c",
                "%(" + name + ")",
                "%(" + name + ")",
                "%(" + name + " + 3)",
                "%(" + name + " 5)",
                "%(" + name + " ++)",
                "$(SITE)",
                "$(NOWHERE)",
                "$(NAMED)",
                "%n",
                "%s",
                "%d",
                "%e",
                "%c",
                "%x",
                "%N",
                "%0",
                "%%",
                "%q",
                "%(",
                ")",
                "%()",
                "$(",
                "@x",
                "(x)",
                "%((y))",
                "[z]",
                "100%",
            ]
        )


def as_uwsgi_reads(folder, files):
    command = [*binary.find().command, "--show-config", "--no-server"]
    for file in files:
        command += ["--ini", file.name]
    answer = subprocess.run(
        command, cwd=folder, env=ENVIRON, capture_output=True, text=True, errors="replace", timeout=scaled(60)
    )
    text = answer.stderr + answer.stdout
    shown = re.search(r"\[uwsgi\]\n(.*);end of configuration", text, re.DOTALL)
    assert shown, text
    lines = [tuple((line + " ").split(" = ", 1)) for line in shown[1].splitlines()]
    return [(name, value.removesuffix(" ")) for name, value in lines if not LOGIC.fullmatch(name)][2:]


def compare(ours, theirs):
    """Every option that uWSGI has, in its order; what we mark as maybe it may lack. The first that differs, or None."""
    at = 0
    for option in ours:
        if option.name in IGNORED:
            continue
        if at < len(theirs) and theirs[at] == (option.name, option.value):
            at += 1
        elif not option.maybe:
            return option, theirs[at : at + 1]
    return theirs[at:] or None


@pytest.mark.parametrize("batch", [0, *(pytest.param(number, marks=pytest.mark.full) for number in range(1, 10))])
def test_it_reads_generated_files_as_uwsgi_does(batch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seeds = range(batch * A_START, (batch + 1) * A_START)
    files = [Generator(seed, tmp_path).write() for seed in seeds]
    theirs = [pair for pair in as_uwsgi_reads(tmp_path, files) if pair[0] not in IGNORED]
    ours = parse([file.name for file in files], read, ENVIRON).options
    assert len(theirs) > A_START
    assert compare(ours, theirs) is None
