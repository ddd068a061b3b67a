"""The view of cache.ini: the payload into uWSGI's own cache, the key to the backend."""

import claim_check
import uwsgi
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.urls import path
from django.views.generic import TemplateView

from offload_lab.stages.site.arguments import argument
from offload_lab.stages.site.backend import is_ready

from .responses import authorise, members_only, retry_later

BACKEND = argument("backend")
LIFE_S, DEPARTURES, BLOCK_BYTES = (int(argument(name)) for name in ("life_s", "departures", "block_bytes"))


@members_only
def subscribe(request):
    key = claim_check.new_key()
    payload = claim_check.pack(request.user.get_username(), DEPARTURES).encode()
    if len(payload) > BLOCK_BYTES:
        text = f"{len(payload)} bytes do not fit into a block of {BLOCK_BYTES}: raise blocksize in cache.ini\n"
        return HttpResponse(text, status=507, content_type="text/plain")
    if not is_ready(BACKEND):
        return retry_later("the backend does not answer")
    if not uwsgi.cache_set(key, payload, LIFE_S, "payloads"):  # None, without a reason: a full cache returns it too
        return retry_later("the cache is full, until something in it expires")
    return authorise(request, Claim=key)


urlpatterns = [
    path("", login_required(TemplateView.as_view(template_name="claim.html"))),
    path("subscribe", subscribe),
]
