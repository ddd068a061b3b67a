"""The engine that was built here, and what its lock and its patches must be."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from offload_lab.testing import require
from offload_lab.timeouts import scaled

from .toy_engine import BUILT, ROOT


def prove(*command: str) -> "subprocess.CompletedProcess[str]":
    prover = [sys.executable, str(ROOT / "uwsgi_build/prove.py"), *command]
    return subprocess.run(prover, capture_output=True, text=True, timeout=scaled(100))


def test_the_built_engine_does_all_that_its_stamp_claims() -> None:
    require(BUILT.exists(), "the built uWSGI", "./lab engine")
    stamp = json.loads(BUILT.with_name("engine.json").read_text())
    done = prove(str(BUILT), *stamp["run_with"])
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == stamp["proved"]
    assert "route" in stamp["proved"]


@pytest.mark.full
def test_the_stock_wheel_still_crashes_there_and_has_no_ssl() -> None:
    """The day this fails is the day to drop the patch: see uwsgi_build/README.md."""
    wheel = Path(sys.executable).with_name("uwsgi")
    require(wheel.exists(), "the pyuwsgi wheel", "pip install pyuwsgi")
    done = prove(str(wheel))
    assert done.returncode == 1
    assert "Segmentation Fault" in done.stderr
    assert "ssl: answer ''" in done.stderr
    assert "pcre" not in done.stderr
    assert "gevent" not in done.stderr


def test_the_lock_pins_everything_and_names_no_index() -> None:
    lines = [line for line in (ROOT / "requirements/engine.lock").read_text().splitlines() if not line.startswith("#")]
    assert {line.partition("==")[0] for line in lines} == {"setuptools", "uwsgi"}
    for line in lines:
        assert "--hash=sha256:" in line
        assert "://" not in line


@pytest.mark.parametrize("patch", sorted((ROOT / "uwsgi_build/patches").glob("*.patch")), ids=lambda patch: patch.stem)
def test_a_patch_explains_itself_and_stays_small(patch: Path) -> None:
    head, _, body = patch.read_text().partition("\n--- a/")
    assert re.search(r"unbit/uwsgi #\d+|No\s+report\s+of\s+it\s+was\s+found", head), "what is known upstream"
    assert re.search(r"^Subject: \[PATCH\] .+(?s:.*)^Signed-off-by: ", head, re.MULTILINE), "as git am takes it"
    changed = [line for line in body.splitlines()[1:] if line.startswith(("+", "-"))]
    assert len(changed) <= 105
