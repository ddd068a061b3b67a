"""Django decides who may open a WebSocket, from which page, and whether it is one at all."""

import base64
from urllib.parse import urlsplit

from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET
from offload.responses import OffloadResponse, plain


@login_required
@require_GET
def page(request):
    return render(request, "chat/page.html")


# >>> websocket
@csrf_exempt  # any other method gets 405, not a page about CSRF
@require_GET
def websocket(request):
    if refusal := refuse(request):
        return refusal
    unavailable = plain(503, "the backend does not answer", Retry_After="2")
    return OffloadResponse("chat", request.user, ["chat"], unavailable=unavailable)


# <<<


def refuse(request):
    """Why this request may not become a WebSocket; None if it may."""
    if not request.user.is_authenticated:
        return plain(403, "log in first")
    if not is_upgrade(request):
        return plain(
            426, "WebSocket, version 13", Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Version="13"
        )
    if not is_key(request.headers.get("Sec-WebSocket-Key", "")):
        return plain(400, "Sec-WebSocket-Key must be 16 bytes in base64")
    if not is_own_origin(request):
        return plain(403, "no WebSocket for a page of this origin")
    return None


def is_upgrade(request):
    """RFC 6455, section 4.2.1: each of the two headers may hold a list, in any case.

    nginx sends HTTP/1.0 on where it is not told otherwise; the protocol is then the front's, not the client's.
    """
    return (
        "websocket" in tokens(request.headers.get("Upgrade", ""))
        and "upgrade" in tokens(request.headers.get("Connection", ""))
        and request.headers.get("Sec-WebSocket-Version", "").strip() == "13"
    )


def tokens(value):
    return [word.strip().lower() for word in value.split(",")]


def is_key(value):
    try:
        return len(base64.b64decode(value, validate=True)) == 16
    except ValueError:
        return False


def is_own_origin(request):
    """Browsers send cookies with any site's WebSocket, and leave it to the server to check where the page is from.

    They always say so. A program without an Origin is refused as well: it can send ours.
    """
    origin = urlsplit(request.headers.get("Origin", "").lower())
    return (origin.scheme, origin.netloc) == (request.scheme, request.get_host().lower())
