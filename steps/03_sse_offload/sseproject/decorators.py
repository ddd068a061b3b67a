"""Who may subscribe: the same for every view that streams or lets stream."""

from functools import wraps

from django.http import HttpResponseForbidden, HttpResponseNotAllowed
from django.views.decorators.csrf import csrf_exempt


def members_only(view):
    """GET from somebody who is logged in; anybody else gets Django's own answer, with a body and all of its headers."""

    @csrf_exempt  # every method that could be forged is refused here, with 405 instead of a puzzling 403
    @wraps(view)
    def gate(request):
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"], "only GET\n", content_type="text/plain")
        if not request.user.is_authenticated:  # anonymous, expired, inactive; a redirect would confuse EventSource
            return HttpResponseForbidden("log in first\n", content_type="text/plain")
        return view(request)

    return gate
