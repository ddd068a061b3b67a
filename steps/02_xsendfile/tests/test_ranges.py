"""ranges.ini on the patched uWSGI: an offload thread sends the announced range of a file, and no more."""

import random

import pytest

from offload_lab.clients import fetch
from offload_lab.errors import MissingDependencyError
from offload_lab.stages.stage import Stage
from offload_lab.testing import idle_workers, require
from offload_lab.uwsgi import binary

SIZE = 3 * 2**20 + 17  # no multiple of what a thread sends at once


@pytest.fixture(scope="module")
def stage():
    try:
        patched = binary.find("built")
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    with Stage("02_xsendfile", "ranges", engine=patched) as stage:
        (stage.run / "served" / "bytes.bin").write_bytes(random.Random(7).randbytes(SIZE))  # noqa: S311
        yield stage


def ranges(count):
    chosen = random.Random(11)  # noqa: S311
    for _ in range(count):
        first, last = sorted((chosen.randrange(SIZE), chosen.randrange(SIZE)))
        yield first, last


@pytest.mark.core
def test_a_hundred_ranges_are_exact_and_sent_by_an_offload_thread(stage):
    data = (stage.run / "served" / "bytes.bin").read_bytes()
    before = idle_workers(stage)[0].offloaded
    for first, last in [(0, 0), (SIZE - 1, SIZE - 1), *ranges(98)]:
        answer = fetch(stage.port, "/file?name=bytes.bin", headers={"Range": f"bytes={first}-{last}"})
        assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes {first}-{last}/{SIZE}")
        assert answer.body == data[first : last + 1]
    assert idle_workers(stage)[0].offloaded == before + 100


def test_a_file_without_a_range_is_whole(stage):
    answer = fetch(stage.port, "/file?name=bytes.bin")
    assert (answer.status, answer.body) == (200, (stage.run / "served" / "bytes.bin").read_bytes())
