"""The view of redis.ini: the parcel into Redis, the key to the desk."""

import feed
import parcels
from django.contrib.auth.decorators import login_required
from django.urls import path
from django.views.generic import TemplateView

from offload_lab.stages.site.arguments import argument
from offload_lab.stages.site.backend import is_ready

from .answers import hand_over, members_only, not_now

BACKEND = argument("backend")
LIFE_S, DEPARTURES = int(argument("life_s")), int(argument("departures"))
redis = feed.connect(argument("redis"), timeout_s=1)


@members_only
def subscribe(request):
    if not is_ready(BACKEND):
        return not_now("the backend does not answer")
    key = parcels.new_key()
    parcel = parcels.pack(request.user.get_username(), DEPARTURES)
    try:
        redis.set(f"parcel:{key}", parcel, ex=LIFE_S)
    except feed.PASSING:
        return not_now("no Redis just now")
    return hand_over(request, Parcel=key)


urlpatterns = [
    path("", login_required(TemplateView.as_view(template_name="parcel.html"))),
    path("subscribe", subscribe),
]
