"""Stands first in MIDDLEWARE, and so has the last word on a response that authorises an offload."""

from django.conf import settings
from django.http import HttpResponse

from .backends import is_ready
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
        if not is_ready(settings.OFFLOAD_BACKENDS[response.to]):
            return response.unavailable
        return HttpResponse(headers={name: value for name, value in response.items() if name.startswith("X-Offload-")})
