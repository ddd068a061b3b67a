"""The answer to a client whose stream cannot be offloaded at the moment."""

from offload_lab.stages.site.backend import AGAIN_HEADERS, again


def reconnect_later(start_response, why: str) -> list[bytes]:
    """An empty event stream with a time to reconnect: after a 503 an EventSource would never come back."""
    start_response("200 OK", list(AGAIN_HEADERS.items()))
    return [again(why)]
