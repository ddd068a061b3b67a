"""Django decides who may listen, to which channels, and who may send."""

from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.shortcuts import get_object_or_404, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST
from offload.feed import PASSING
from offload.responses import OffloadResponse, plain, retry_later

from . import notify
from .channels import ALL, channels_of

TEXT_LIMIT = 500  # characters


@login_required
@require_GET
def page(request):
    return render(request, "notifications/page.html", {"groups": request.user.groups.all()})


# >>> subscribe
@csrf_exempt  # any other method gets 405, not a page about CSRF
@require_GET
def subscribe(request):
    if not request.user.is_authenticated:  # no redirect: an EventSource would follow it to a page
        return plain(403, "log in first")
    channels = channels_of(request.user)
    return OffloadResponse("feed", request.user, channels, unavailable=retry_later("the backend does not answer"))


# <<<


@login_required
@require_POST
def send(request):
    """To all, to `user:NAME` or to `group:NAME`, for staff. The same token again is the same notification."""
    if not request.user.is_staff:
        raise PermissionDenied
    text, token = request.POST.get("text", "").strip(), request.POST.get("token", "")
    if not text or len(text) > TEXT_LIMIT or len(token) != 36:
        return plain(400, f"1 to {TEXT_LIMIT} characters, and a token of 36")
    to = recipient(request.POST.get("to", ALL))
    sender = request.user.get_username()
    try:
        id = notify(to, "notice", token=f"{request.user.pk}:{token}", patience_s=1, sender=sender, text=text)
    except PASSING:
        return plain(503, "no Redis just now", Retry_After="1")
    return plain(200, id)


def recipient(name):
    kind, _, name = name.partition(":")
    if kind == "user":
        return get_object_or_404(get_user_model(), username=name)
    return get_object_or_404(Group, name=name) if kind == "group" else ALL
