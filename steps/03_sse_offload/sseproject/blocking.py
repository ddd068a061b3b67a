"""What not to do: Django sends the events itself, and its worker serves no other request meanwhile."""

from django.http import StreamingHttpResponse
from events import last_ticket, tickets

from .decorators import members_only


@members_only
def subscribe(request):
    after = last_ticket(request.headers.get("Last-Event-ID", ""))
    return StreamingHttpResponse(
        tickets(request.user.get_username(), after=after),
        content_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )
