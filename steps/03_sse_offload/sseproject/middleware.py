"""First in MIDDLEWARE, and so the last to change a response that authorises an offload."""

from django.conf import settings

from offload_lab.stages.site.backend import AGAIN_HEADERS, again, is_ready

OFFLOAD_HEADER = "X-Offload-to-SSE"
OF_THE_BODY = ("Content-Length", "Content-Encoding", "ETag")


class OffloadMiddleware:
    """Lets the offload header through only while the backend answers, and never with a body of Django's.

    As late as possible: what remains is the moment until uWSGI has read the header.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if OFFLOAD_HEADER in response:
            if is_ready(settings.OFFLOAD_BACKEND):
                set_body(response, b"")
            else:
                del response[OFFLOAD_HEADER]
                for name, value in AGAIN_HEADERS.items():
                    response[name] = value
                set_body(response, again("the backend does not answer"))
        return response


def set_body(response, body):
    """Replace the body, and drop what other middlewares set for the old one: its length, its compression."""
    for header in OF_THE_BODY:
        del response[header]
    if response.streaming:
        response.streaming_content = [body]
    else:
        response.content = body
