"""Django authorises or refuses, and is free again after some milliseconds."""

from urllib.parse import quote

from django.http import HttpResponse

from .decorators import members_only


# >>> authorise
@members_only
def subscribe(request):
    # an ordinary, empty response, which no middleware can compress or find without `content`
    response = HttpResponse(content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    # the front removes this header and offloads the connection, for the user of this name
    response["X-Offload-to-SSE"] = quote(request.user.get_username(), safe="")
    return response


# <<<
