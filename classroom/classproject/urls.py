from pathlib import Path

from django.http import Http404, HttpResponse
from django.urls import path, re_path

from . import boards, seats

ASSETS = Path(__file__).with_name("assets")
TYPES = {".css": "text/css", ".js": "text/javascript"}


def asset(request, name):
    if name not in {file.name for file in ASSETS.iterdir()}:
        raise Http404
    file = ASSETS / name
    return HttpResponse(file.read_bytes(), content_type=f"{TYPES[file.suffix]}; charset=utf-8")


BOARD = r"^(?P<board>teacher|projector)/(?P<token>[^/]+)"

urlpatterns = [
    path("", seats.phone),
    path("join", seats.join),
    path("seat", seats.seat),
    path("assets/<str:name>", asset),
    re_path(f"{BOARD}/$", boards.page),
    re_path(f"{BOARD}/picture$", boards.picture),
    re_path(f"{BOARD}/stream$", boards.stream),
    re_path(f"{BOARD}/act$", boards.act),
]
