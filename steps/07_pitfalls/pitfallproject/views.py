"""The views that step 03 does not have: some are wrong on purpose, and each says for which pitfall."""

from datetime import UTC, datetime

from django.http import HttpResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import last_modified
from sseproject.decorators import members_only


def unchecked(request):
    """anonymous_user: the article's view. A header is text, and so is an anonymous client's user: "AnonymousUser"."""
    response = HttpResponse()
    response["X-Offload-to-SSE"] = request.user
    return response


article = members_only(unchecked)  # headers_twice: the same, for users who are logged in


@members_only
def streaming(request):
    """middleware_gzip: a streaming response, so that its headers promise no length. Middlewares see a body in it."""
    response = StreamingHttpResponse([b""], content_type="text/event-stream")
    response["X-Offload-to-SSE"] = request.user.get_username()
    return response


@last_modified(lambda request: datetime(2026, 1, 1, tzinfo=UTC))
def opening_hours(request):
    """content_type_bypass: a public page. A client that has it already gets a 304, which carries no Content-Type."""
    return HttpResponse("every day, 9 to 17\n", content_type="text/plain")


@csrf_exempt  # so that curl can buy
def buy(request):
    """gevent_django: one small write to the database, which waits as long as another process is writing."""
    request.session["tickets"] = request.session.get("tickets", 0) + 1  # saved with the answer, by the middleware
    return HttpResponse("sold\n", content_type="text/plain")
