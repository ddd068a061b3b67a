"""The seats' side: a phone's page, joining with the room's code, and messages, each counted once."""

import json

import feed
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from offload_lab.classroom import keys
from offload_lab.classroom.board import HIDDEN
from offload_lab.classroom.messages import (
    LONGEST_NICKNAME,
    MOST_AT_ONCE,
    SEAT,
    GuessError,
    MessageError,
    checked,
    is_count,
    nickname,
)

from . import state

MOST_WRONG_CODES = 20  # a minute, of one address
MOST_REQUESTS = 240  # a minute, of one seat


def refusal(status, why):
    return JsonResponse({"error": why}, status=status)


def speaks_json(view):
    """`view` gets the request's JSON object; without Redis it is answered 503, and the seat tries again.

    JSON cannot be sent by a form of another site, and there is no cookie that it could use: so no CSRF token.
    """

    @csrf_exempt
    @require_POST
    def answer(request):
        try:
            body = json.loads(request.body)
        except RequestDataTooBig:
            return refusal(413, f"at most {settings.DATA_UPLOAD_MAX_MEMORY_SIZE} bytes")
        except (ValueError, RecursionError):  # brackets in brackets, thousands of them
            body = None
        if request.content_type != "application/json" or not isinstance(body, dict):
            return refusal(400, "send a JSON object")
        seat = body.get("seat")
        if not isinstance(seat, str) or not SEAT.fullmatch(seat):
            return refusal(400, "seat: 32 hexadecimal digits that the seat has chosen")
        try:
            return view(request, seat, body)
        except feed.PASSING:
            return refusal(503, "the class's store does not answer; try again")

    return answer


@require_GET
def phone(request):
    return render(request, "phone.html", {"longest": LONGEST_NICKNAME})


@speaks_json
def join(request, seat, body):
    """The token of a seat. The same seat may ask again: its first answer may have been lost."""
    address = request.META["REMOTE_ADDR"]
    if not keys.same(str(body.get("code", "")).upper(), keys.code(state.KEY)):
        if state.too_often(f"code:{address}", MOST_WRONG_CODES, 60):
            return refusal(429, "too many wrong codes; wait a minute")
        return refusal(403, f"{str(body.get('code'))[:40]!r} is not the room's code; look at the projector")
    try:
        name = nickname(body.get("nickname"))
    except MessageError as error:
        return refusal(400, str(error))
    known = state.present_board()[0].seats.get(seat)
    if known and known.nickname != name:
        return refusal(409, f"this seat has joined as {known.nickname!r}; join with that nickname")
    if not state.redis.hsetnx("nicknames", name.casefold(), seat):
        if state.redis.hget("nicknames", name.casefold()) != seat:
            return refusal(409, f"the nickname {name!r} is taken; choose another")
    elif state.redis.hlen("nicknames") > state.MOST_SEATS:
        state.redis.hdel("nicknames", name.casefold())
        return refusal(409, f"the class is full: it has {state.MOST_SEATS} seats")
    state.publish("joined", f"joined:{seat}", seat=seat, nickname=name)
    return JsonResponse({"token": keys.seat_token(state.KEY, seat)})


@speaks_json
def seat(request, seat, body):
    """Take messages, in the order of their numbers; one that came before, or is none, is not taken and not sent again.
    Then say where the class is."""
    if not keys.same(body.get("token"), keys.seat_token(state.KEY, seat)):
        return refusal(403, "this seat has not joined this class")
    if state.too_often(f"seat:{seat}", MOST_REQUESTS, 60):
        return refusal(429, "too many requests; wait a minute")
    messages = body.get("messages")
    if not isinstance(messages, list) or len(messages) > MOST_AT_ONCE:
        return refusal(400, f"messages: a list of at most {MOST_AT_ONCE}")
    refused = [{"sequence": number_of(message), "why": why} for message in messages if (why := take(seat, message))]
    return JsonResponse({"refused": refused, **where_the_class_is(seat)})


def take(seat, message):
    """Publish one message; why not, where it is none. The teacher's row shows a guess that was not taken."""
    try:
        sequence, kind, fields = checked(message, state.KNOWN)
    except GuessError as error:
        token = f"{seat}:{error.sequence}"
        state.publish("refused", token, seat=seat, sequence=error.sequence, notebook=error.notebook)
        return str(error)[:300]
    except MessageError as error:
        return str(error)[:300]
    state.publish(kind, f"{seat}:{sequence}", seat=seat, sequence=sequence, **fields)
    return None


def number_of(message):
    sequence = message.get("sequence") if isinstance(message, dict) else None
    return sequence if is_count(sequence) else None


def where_the_class_is(seat):
    board, _ = state.present_board()
    section = state.TIMETABLE.entries[board.section].section
    question = state.QUESTIONS.get(board.shown)
    asked = question and {
        "notebook": question.notebook,
        "text": question.text,
        "unit": question.unit,
        "open": board.stage(question.notebook) == HIDDEN,
    }
    return {
        "section": {"index": board.section, "title": section.title, "landmark": section.landmark},
        "question": asked,
        "hand": seat in board.seats and board.seats[seat].hand,
    }
