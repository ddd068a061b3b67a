"""What a view returns to have its connection offloaded."""

import random
from urllib.parse import quote

from django.http import HttpResponse

RETRY_MS = 1000, 3000


class OffloadResponse(HttpResponse):
    """Django authorises: the front takes these headers and passes the connection to a backend of the kind `to`.

    `unavailable` is sent in its place while none answers. Which one it is OffloadMiddleware writes into X-Offload-To.
    """

    def __init__(self, to, user, channels=(), *, unavailable):
        # percent-encoded: a name can then break no header, no variable and no line of the log
        headers = {"X-Offload-User": quote(user.get_username(), safe="")}
        if channels:
            headers["X-Offload-Channels"] = " ".join(channels)
        super().__init__(headers=headers)
        self.to, self.unavailable = to, unavailable


def retry_later(reason):
    """An event stream that ends at once and says when to reconnect: after any status but 200 an EventSource never does.

    No blank line, so it is no event: the client keeps the id of its last one.
    """
    milliseconds = random.randint(*RETRY_MS)  # noqa: S311 (no secret): not all at the same moment
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    return HttpResponse(f"retry: {milliseconds}\n: {reason}\n", headers=headers)


def plain(status, text, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain", headers=named)
