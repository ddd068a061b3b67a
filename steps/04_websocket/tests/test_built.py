"""The same on a uWSGI built from source: newer than the wheel's, and with SSL."""

from .conftest import Board, next_news


def test_native_uses_uwsgis_own_handshake(built):
    with Board("native", engine=built) as stage, stage.connect(stage.ada) as ada:
        assert ada.headers["sec-websocket-origin"] == stage.url  # only uWSGI sends this header
        ada.send_text("hello")
        assert next_news(ada, "text") == {"user": "ada", "text": "hello"}


def test_the_backend_to_copy_needs_no_websocket_support_of_uwsgi(built):
    with Board("offload", engine=built) as stage, stage.connect(stage.ada) as ada:
        ada.send_text("hello")
        assert next_news(ada, "text") == {"user": "ada", "text": "hello"}
