"""Django authorises or refuses, and is free again after some milliseconds."""

from urllib.parse import quote

from django.http import HttpResponse

from .decorators import members_only


# >>> authorise
@members_only
def subscribe(request):
    # an ordinary, empty response: no middleware finds anything in it to compress, or stumbles over a missing `content`
    response = HttpResponse(content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    # the front takes this header away and reads it: hand the connection over, and this is the client's name
    response["X-Offload-to-SSE"] = quote(request.user.get_username(), safe="")
    return response


# <<<
