"""The part that all Django stages share: two servers may begin in one new run folder at once, and a third later on."""

import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from offload_lab.clients import ping
from offload_lab.clients.session import Session
from offload_lab.process.deadlines import Deadline
from offload_lab.process.server_process import free_port
from offload_lab.stages import manifest
from offload_lab.stages.site import secret_key
from offload_lab.stages.stage import short_private_folder
from offload_lab.uwsgi.server import Uwsgi

STEP = manifest.find("03_sse_offload").folder


def front(ini, run):
    return Uwsgi(STEP / ini, run, port=free_port())


def may_enter(session, port):
    """Whether `port` knows the session: the page is shown instead of the way to the login."""
    elsewhere = Session(port)
    elsewhere.cookies = session.cookies
    return elsewhere.ask("GET", "/").status == 200


@pytest.mark.full
def test_two_servers_share_a_new_run_folder_and_a_later_one_reuses_it():
    run = short_private_folder()
    with ExitStack() as running:
        running.callback(shutil.rmtree, run)
        both = [running.enter_context(front(ini, run)) for ini in ("header.ini", "goto.ini")]
        for server in both:
            server.wait_ready(Deadline(60))
        ada, grace = Session(both[0].port), Session(both[1].port)
        ada.log_in("ada", "lovelace")
        grace.log_in("grace", "hopper")
        assert may_enter(ada, both[1].port)
        assert may_enter(grace, both[0].port)
        with pytest.raises(PermissionError):
            Session(both[0].port).log_in("ada", "hopper")
        for server in both:
            server.stop()
        with front("header.ini", run) as later:
            later.wait_ready(Deadline(60))
            assert may_enter(ada, later.port)
            ada_again = Session(later.port)
            ada_again.cookies = ada.cookies
            ada_again.log_out()
            assert not may_enter(ada, later.port)
            assert ping(later.port, 30).status == 200


def test_whoever_asks_for_the_secret_key_at_the_same_time_gets_the_same(tmp_path):
    path = tmp_path / "run" / "secret-key"
    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(lambda _: secret_key(path), range(64)))
    assert len(keys) == 1
    assert len(keys.pop()) > 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
