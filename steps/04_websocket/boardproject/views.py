"""Django decides: which user may open a WebSocket, from which page, and whether the request is one at all."""

import base64
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, HttpResponseForbidden
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET


@login_required
@require_GET
def page(request):
    return render(request, "board.html")


@csrf_exempt  # else a POST is a page about CSRF, not 405
@require_GET
def websocket(request):
    """Authorises with an empty response that names the user, for the INI to collect. Any other response refuses."""
    return refusal(request) or HttpResponse(headers={"X-Offload-User": user_name(request)})


def user_name(request) -> str:
    """The user's name as ASCII without separators: safe as a value of a header or a variable."""
    return quote(request.user.get_username(), safe="")


def refusal(request) -> HttpResponse | None:
    """Why this request may not become a WebSocket; None if it may."""
    if not request.user.is_authenticated:
        return HttpResponseForbidden("log in first\n", content_type="text/plain")
    if request.META["SERVER_PROTOCOL"] == "HTTP/1.0" or not is_upgrade(request.headers):
        return upgrade_required("this address speaks WebSocket, version 13\n")
    if not is_key(request.headers.get("Sec-WebSocket-Key", "")):
        return HttpResponse("Sec-WebSocket-Key must be 16 bytes in base64\n", status=400, content_type="text/plain")
    if not is_allowed(request.headers.get("Origin"), own=f"{request.scheme}://{request.get_host()}"):
        return HttpResponseForbidden("no WebSocket for a page of this origin\n", content_type="text/plain")
    return None


def is_upgrade(headers) -> bool:
    """RFC 6455, section 4.2.1: each of the two headers may hold a list, in any case."""
    return (
        "websocket" in tokens(headers.get("Upgrade", ""))
        and "upgrade" in tokens(headers.get("Connection", ""))
        and headers.get("Sec-WebSocket-Version", "").strip() == "13"
    )


def tokens(value: str) -> list[str]:
    return [word.strip().lower() for word in value.split(",")]


def is_key(value: str) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == 16
    except ValueError:  # binascii.Error is one; a key that is not ASCII is another
        return False


def is_allowed(origin: str | None, own: str) -> bool:
    """Browsers send cookies along with any site's WebSocket and leave it to the server to check the Origin.

    They always send one. So a request without it is refused: a program that is no browser can set ours.
    """
    # >>> origin
    return origin is not None and origin.lower() in [own.lower(), *settings.BOARD_ORIGINS]
    # <<<


def upgrade_required(reason: str) -> HttpResponse:
    headers = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    return HttpResponse(reason, status=426, headers=headers, content_type="text/plain")
