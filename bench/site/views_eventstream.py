"""django-eventstream's own view, for users only."""

from django.http import HttpRequest, HttpResponse, HttpResponseForbidden  # type: ignore[import-untyped]
from django_eventstream.views import events

from .views import feed_of


def subscribe(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return HttpResponseForbidden("log in first\n", content_type="text/plain")
    return events(request, channels=[feed_of(request)])
