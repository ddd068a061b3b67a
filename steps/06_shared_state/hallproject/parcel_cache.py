"""The view of cache.ini: the parcel into uWSGI's own cache, the key to the desk."""

import parcels
import uwsgi
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.urls import path
from django.views.generic import TemplateView

from offload_lab.stages.site.arguments import argument
from offload_lab.stages.site.backend import is_ready

from .answers import hand_over, members_only, not_now

BACKEND = argument("backend")
LIFE_S, DEPARTURES, BLOCK_BYTES = (int(argument(name)) for name in ("life_s", "departures", "block_bytes"))


@members_only
def subscribe(request):
    key = parcels.new_key()
    parcel = parcels.pack(request.user.get_username(), DEPARTURES).encode()
    if len(parcel) > BLOCK_BYTES:
        text = f"{len(parcel)} bytes do not fit into a block of {BLOCK_BYTES}: raise blocksize in cache.ini\n"
        return HttpResponse(text, status=507, content_type="text/plain")
    if not is_ready(BACKEND):
        return not_now("the backend does not answer")
    if not uwsgi.cache_set(key, parcel, LIFE_S, "parcels"):  # None, and no reason: it also is what a full cache says
        return not_now("the cache is full, until something in it expires")
    return hand_over(request, Parcel=key)


urlpatterns = [
    path("", login_required(TemplateView.as_view(template_name="parcel.html"))),
    path("subscribe", subscribe),
]
