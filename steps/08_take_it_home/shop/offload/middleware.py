"""Stands first in MIDDLEWARE, and so has the last word on a response that authorises an offload."""

from django.http import HttpResponse

from .backends import choose
from .responses import OffloadResponse


class OffloadMiddleware:
    """Lets the offload headers through only while the backend answers, and nothing that other middlewares added.

    As late as possible: what remains is the moment until uWSGI has read the headers.
    """

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if not isinstance(response, OffloadResponse):
            return response
        name = choose(response.to)
        if name is None:
            return response.unavailable
        headers = {name: value for name, value in response.items() if name.startswith("X-Offload-")}
        return HttpResponse(headers={"X-Offload-To": name, **headers})
