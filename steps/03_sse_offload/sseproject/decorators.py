"""Which requests may subscribe: the same for every view that streams or offloads a stream."""

from functools import wraps

from django.http import HttpResponseForbidden, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt


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
