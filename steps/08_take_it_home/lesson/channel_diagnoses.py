"""One notification for each of four recipients, with ada and grace listening: who gets which?"""

from dataclasses import dataclass

from offload_lab.clients.session import TOKEN, Session
from offload_lab.clients.sse import SseClient
from offload_lab.stages.stage import Stage

from .clients import ROUTES, THREADS

OPTIONS = (*THREADS, *ROUTES)
PATIENCE_S = 5.0
FOR_ADA = ("user:ada", "group:buyers", "all")
FOR_GRACE = ("user:grace", "group:packers", "group:buyers", "all")
RECIPIENTS = ("user:ada", "user:grace", "group:packers", "group:buyers", "all")  # the last one goes to both


@dataclass(frozen=True)
class Seen:
    """The recipients of the notifications that each got."""

    ada: tuple[str, ...]
    grace: tuple[str, ...]


def observe(stage: Stage) -> Seen:
    ada, grace = Session(stage.port), Session(stage.port)
    ada.log_in()
    grace.log_in("grace", "hopper")
    form = TOKEN.search(ada.ask("GET", "/").body.decode())
    token = form[1] if form else ""
    clients = [SseClient(stage.port, cookie=user.cookie, timeout_s=PATIENCE_S) for user in (ada, grace)]
    with clients[0], clients[1]:
        for client in clients:
            client.next()  # hello
        for number, to in enumerate(RECIPIENTS):
            fields = {"to": to, "text": to, "token": f"{number:036}", "csrfmiddlewaretoken": token}
            ada.ask("POST", "/notify", fields)
        return Seen(*(received(client) for client in clients))


def received(client: SseClient) -> tuple[str, ...]:
    """Up to the one for all; what came until then where that does not come."""
    got: list[str] = []
    try:
        while "all" not in got:
            event = client.next()
            if event.type == "notice":
                got.append(next(to for to in RECIPIENTS if f'"{to}"' in event.data))
    except OSError:
        pass
    return tuple(got)


def got_others(seen: Seen) -> str | None:
    foreign = [to for to in seen.ada if to not in FOR_ADA] + [to for to in seen.grace if to not in FOR_GRACE]
    if not foreign:
        return None
    return f"a notification for {foreign[0]} reached a user whom it is not for: Django gave a channel of someone else."


def lacks_own(seen: Seen) -> str | None:
    lacking = [("ada", to) for to in FOR_ADA if to not in seen.ada]
    lacking += [("grace", to) for to in FOR_GRACE if to not in seen.grace]
    if not lacking or got_others(seen):
        return None
    user, to = lacking[0]
    return f"{user} did not get what is for {to}: that channel is none of those that Django gave her."


RULES = (got_others, lacks_own)
