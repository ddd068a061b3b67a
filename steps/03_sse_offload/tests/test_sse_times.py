"""What the times in the backend's INI are for: signs of life while nothing happens, and an end to every stream."""

import pytest

from offload_lab.clients.sse import SseClient
from offload_lab.process.polling import wait_for

from .conftest import TIMEOUT_S, Watched, altered, side_by_side
from .test_sse_lines import PLAIN

RARE, NEVER = "3600", "7200"
TIMES = {
    "quiet": {"tick_s": RARE, "heartbeat_s": "0.1"},
    "silent": {"tick_s": RARE, "heartbeat_s": NEVER},
    "short": {"tick_s": "0.1", "lifetime_s": "0.3"},
}


class Quick(Watched):
    """header.ini with the plain app that authorises every client, and the real backend."""

    def subscribe(self, **options):
        return SseClient(self.port, "/yes", **options)


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    step = altered("header", tmp_path_factory.mktemp("front"), PLAIN)
    with side_by_side({name: Quick(step, "altered", placeholders=times) for name, times in TIMES.items()}) as stages:
        yield stages


def test_a_regular_comment_shows_which_client_has_left(stages):
    stage = stages["quiet"]
    with stage.subscribe() as ada:
        ada.next()
        while len(ada.parser.comments) < 2:
            ada.read()
        assert (set(ada.parser.comments), len(ada.events)) == ({"♥"}, 1)  # one read may take several
        assert stage.open_streams() == 1
    wait_for(lambda: not stage.open_streams(), TIMEOUT_S, "the greenlet gone, long before the next ticket")


def test_without_a_heartbeat_the_backend_misses_a_disconnect(stages):
    stage = stages["silent"]
    with stage.subscribe() as stays:
        stays.next()  # whatever a first stream makes the processes open once is open now
        front, backend = stage.descriptors()
        streams = stage.open_streams()
        with stage.subscribe() as ada:
            ada.next()
        wait_for(lambda: stage.descriptors()[0] == front, TIMEOUT_S, "the front's descriptors free")
        assert stage.open_streams() == streams + 1
        assert stage.descriptors()[1] == backend + 1


def test_every_stream_ends_so_that_django_is_asked_again(stages):
    stage = stages["short"]
    with stage.subscribe() as ada:
        ada.read_all()
    last = ada.events[-1].last_event_id
    with stage.subscribe(headers=[("Last-Event-ID", last)]) as ada:
        assert int(ada.next().last_event_id) == int(last) + 1
