"""What every response says: its own scripts and styles only, nothing is kept by the browser. And whom none answers."""

from contextlib import suppress
from threading import Lock

from django.core.exceptions import RequestDataTooBig

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'"


def content_security_policy(get_response):
    def respond(request):
        response = get_response(request)
        response["Content-Security-Policy"] = POLICY
        response.setdefault("Cache-Control", "no-store")
        return response

    return respond


def known_hosts_only(get_response):
    """400 for another site's name that was made to point at this machine: Django compares only where it is asked to."""

    def respond(request):
        request.get_host()
        return get_response(request)

    return respond


def one_at_a_time(get_response):
    """The threads of a worker share its board (state.py). A body is read before, as slowly as its client sends it."""
    lock = Lock()

    def respond(request):
        with suppress(RequestDataTooBig):  # the view refuses it
            _ = request.body
        with lock:
            return get_response(request)

    return respond
