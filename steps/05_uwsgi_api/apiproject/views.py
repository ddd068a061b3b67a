"""Django decides as in the steps before; what is new is how it authorises: by a call, not by a header."""

import uwsgi
from boardproject.views import refusal, user_name
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseForbidden
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET

from offload_lab.stages.site.backend import AGAIN_HEADERS, again, is_ready


@login_required
@require_GET
def page(request):
    return render(request, "clock.html")


@require_GET
def subscribe(request):
    if not request.user.is_authenticated:
        return HttpResponseForbidden("log in first\n", content_type="text/plain")
    if not is_ready(f"uwsgi:{settings.OFFLOAD_SERVERS['clock']}"):
        return HttpResponse(again("the clock does not answer"), headers=AGAIN_HEADERS)
    return offload(request, "clock")


@csrf_exempt  # else a POST is a page about CSRF, not 405
@require_GET
def websocket(request):
    return refusal(request) or offload(request, "board")


def offload(request, name: str) -> HttpResponse:
    """Offload the connection to the server called `name`. Variables go with it; clients can set only HTTP_… ones."""
    # >>> name
    uwsgi.add_var("OFFLOAD_USER", user_name(request))
    # <<<
    server = settings.OFFLOAD_SERVERS[name]
    if settings.OFFLOAD_BY == "route":
        # >>> route
        uwsgi.add_var("OFFLOADED", "y")  # before the next line: from there on the connection is not ours
        uwsgi.route("uwsgi", f"{server},0,0")
        # <<<
    else:
        # >>> server
        uwsgi.add_var("OFFLOAD_SERVER", server)
        # last: add_var() raises if the request's buffer is full, and then nothing happens
        uwsgi.add_var("OFFLOAD", "y")
        # <<<
    return HttpResponse()  # empty: a body would be written into the backend's stream
