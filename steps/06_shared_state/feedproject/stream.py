"""The views of stream.ini: which user may subscribe, at which backend, and what is announced."""

import random

import feed
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.urls import path
from django.views.decorators.http import require_POST
from django.views.generic import TemplateView

from offload_lab.stages.site.arguments import argument
from offload_lab.stages.site.backend import is_ready

from .responses import authorise, members_only, retry_later

BACKENDS = {letter: argument(f"backend_{letter}") for letter in "ab"}
HISTORY = int(argument("history"))
TEXT_LIMIT = 200  # characters; every client has to receive them
redis = feed.connect(argument("redis"), timeout_s=1)


@members_only
def subscribe(request):
    """Any backend will do: each can serve any client from any place in the feed."""
    for letter in random.sample(sorted(BACKENDS), len(BACKENDS)):
        if is_ready(BACKENDS[letter]):
            return authorise(request, Backend=letter)
    return retry_later("no backend answers")


@login_required
@require_POST
def announce(request):
    """Publish a notice. The page sends the same token again without a response, and the notice is written once."""
    text, token = request.POST.get("text", "").strip(), request.POST.get("token", "")
    if not text or len(text) > TEXT_LIMIT or len(token) != 36:
        return HttpResponse(f"1 to {TEXT_LIMIT} characters, and a token\n", status=400, content_type="text/plain")
    who = request.user.get_username()
    options = {"token": f"{request.user.pk}:{token}", "patience_s": 1, "history": HISTORY}
    try:
        id = feed.publish(redis, "notice", who=who, text=text, **options)
    except feed.PASSING:
        again = {"Retry-After": "1"}
        return HttpResponse("no Redis just now\n", status=503, content_type="text/plain", headers=again)
    return HttpResponse(f"{id}\n", content_type="text/plain")


urlpatterns = [
    path("", login_required(TemplateView.as_view(template_name="feed.html"))),
    path("subscribe", subscribe),
    path("announce", announce),
]
