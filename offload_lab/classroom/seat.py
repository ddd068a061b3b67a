"""A seat's connection to the class: join, then deliver what waits, again and again until it is acknowledged."""

import json
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from offload_lab.errors import LabError
from offload_lab.text import printable
from offload_lab.timeouts import scaled

from .messages import MOST_AT_ONCE
from .outbox import Outbox

ANSWER_S = 5.0
LARGEST_ANSWER = 1_000_000  # bytes
NO_ANSWER = "check the address on the projector, and that this machine is in the same network"


class UnreachableError(LabError):
    """No class answers, now; what waits is sent later."""


class RefusedError(LabError):
    """The class answered, and does not take it."""


@dataclass(frozen=True)
class ClassPlace:
    """Where the class is. `refused`: why messages were not taken, which are not sent again."""

    section: int
    title: str
    landmark: str
    hand: bool
    refused: tuple[str, ...]


def checked_url(url: str) -> str:
    """The address of a class, without the slash at its end.

    Raises: LabError.
    """
    parts = urlsplit(url)
    try:
        valid = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        valid = False
    if not valid or parts.path.strip("/") or parts.query:
        raise LabError(f"{url!r} is no address of a class; it looks like http://192.168.1.20:9000/")
    return url.rstrip("/")


def join(outbox: Outbox) -> None:
    """Get the seat's token.

    Raises: UnreachableError, RefusedError.
    """
    body = {"seat": outbox.seat, "code": outbox.code, "nickname": outbox.nickname}
    outbox.token = str(post(f"{outbox.url}/join", body)["token"])


def deliver(outbox: Outbox) -> ClassPlace:
    """Send the first of what waits, and take what was acknowledged out of the outbox, which the caller saves.

    Raises: UnreachableError, RefusedError.
    """
    messages = outbox.waiting[:MOST_AT_ONCE]
    answer = post(f"{outbox.url}/seat", {"seat": outbox.seat, "token": outbox.token, "messages": messages})
    try:
        section = answer["section"]
        place = ClassPlace(
            int(section["index"]),
            str(section["title"]),
            str(section["landmark"]),
            bool(answer["hand"]),
            tuple(str(message["why"]) for message in answer["refused"]),
        )
    except (KeyError, TypeError, ValueError):
        raise RefusedError(f"what answers at {outbox.url} is no class board; {NO_ANSWER}") from None
    outbox.waiting = outbox.waiting[len(messages) :]
    return place


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    """The JSON object that came back.

    Raises: RefusedError with the class's own words for 4xx but 429; UnreachableError for all that may pass.
    """
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310 (checked_url)
    address = url.rpartition("/")[0]
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=scaled(ANSWER_S)) as response:
            return parsed(response.read(LARGEST_ANSWER), address)
    except HTTPError as error:
        with error:
            answer = parsed(error.read(LARGEST_ANSWER), address)
        why = printable(str(answer.get("error", f"status {error.code}")))
        if error.code == 429 or error.code >= 500:
            raise UnreachableError(f"the class at {address} says: {why}") from None
        raise RefusedError(why) from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise UnreachableError(f"no class answers at {address}: {reason}; {NO_ANSWER}") from None


def parsed(body: bytes, address: str) -> dict[str, Any]:
    """Raises: RefusedError for what no class sends, UnreachableError for nothing: the answer was cut."""
    if not body:
        raise UnreachableError(f"the class at {address} sent no whole answer; {NO_ANSWER}")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise RefusedError(f"what answers at {address} is no class board; {NO_ANSWER}")
    return answer
