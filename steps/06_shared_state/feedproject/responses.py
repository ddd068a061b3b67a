"""Django's responses in every front of this step: refuse, retry later, authorise."""

from functools import wraps
from urllib.parse import quote

from django.http import HttpResponse, HttpResponseForbidden, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt

from offload_lab.stages.site.backend import AGAIN_HEADERS, again


def members_only(view):
    """GET from a logged-in user; every other request gets Django's own response, with a body and all of its headers."""

    @csrf_exempt  # every method that could be forged is refused here, with 405 instead of a puzzling 403
    @wraps(view)
    def checked(request):
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"], "only GET\n", content_type="text/plain")
        if not request.user.is_authenticated:  # anonymous, expired, inactive; a redirect would confuse EventSource
            return HttpResponseForbidden("log in first\n", content_type="text/plain")
        return view(request)

    return checked


def authorise(request, **headers):
    """The front reads these headers, removes them, and offloads the connection."""
    response = HttpResponse(content_type="text/event-stream")  # empty: no middleware finds anything to compress
    response["X-Offload-to-SSE"] = quote(request.user.get_username(), safe="")
    for name, value in headers.items():
        response[f"X-Offload-{name}"] = value
    return response


def retry_later(why):
    """A stream that ends at once. A browser reconnects by itself; after a 503 it never would."""
    return HttpResponse(again(why), headers=AGAIN_HEADERS)
