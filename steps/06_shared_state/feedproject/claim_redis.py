"""The view of redis.ini: the payload into Redis, the key to the backend."""

import claim_check
import feed
from django.contrib.auth.decorators import login_required
from django.urls import path
from django.views.generic import TemplateView

from offload_lab.stages.site.arguments import argument
from offload_lab.stages.site.backend import is_ready

from .responses import authorise, members_only, retry_later

BACKEND = argument("backend")
LIFE_S, DEPARTURES = int(argument("life_s")), int(argument("departures"))
redis = feed.connect(argument("redis"), timeout_s=1)


@members_only
def subscribe(request):
    if not is_ready(BACKEND):
        return retry_later("the backend does not answer")
    key = claim_check.new_key()
    payload = claim_check.pack(request.user.get_username(), DEPARTURES)
    try:
        redis.set(f"claim:{key}", payload, ex=LIFE_S)
    except feed.PASSING:
        return retry_later("no Redis just now")
    return authorise(request, Claim=key)


urlpatterns = [
    path("", login_required(TemplateView.as_view(template_name="claim.html"))),
    path("subscribe", subscribe),
]
