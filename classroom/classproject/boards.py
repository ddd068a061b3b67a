"""The teacher's and the projector's board: Django renders what each may see, and authorises its stream."""

import json
import secrets
import time
from functools import wraps

import feed
from django.conf import settings
from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseNotFound
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from offload_lab.classroom import dots, keys, place, table
from offload_lab.classroom.board import GUESSES, HIDDEN, INTUITION, JOIN, MEASURED
from offload_lab.classroom.messages import is_count
from offload_lab.stages.site.arguments import argument
from offload_lab.stages.site.backend import AGAIN_HEADERS, again, is_ready

from . import state

BACKEND = argument("backend")
LOOPBACK = "127.0.0.1"


def with_token(view):
    """Requires the token in the board's address, and a client on the teacher's machine."""

    @wraps(view)
    def checked(request, board, token):
        if request.META["REMOTE_ADDR"] != LOOPBACK or not keys.same(token, keys.board_token(state.KEY, board)):
            return HttpResponseNotFound("not found: use the whole address that ./lab class printed\n", "text/plain")
        try:
            return view(request, board)
        except feed.PASSING:
            wait = {"Retry-After": "1"}
            return HttpResponse("the store does not answer\n", "text/plain", status=503, headers=wait)

    return checked


@require_GET
@with_token
def page(request, board):
    return render(request, f"{board}.html", {"board": board, **pictures[board]()})


@require_GET
@with_token
def picture(request, board):
    return render(request, f"{board}_picture.html", pictures[board]())


@require_GET
@with_token
def stream(request, board):
    """The front reads this header, removes it, and offloads the connection."""
    if not is_ready(BACKEND):
        return HttpResponse(again("no backend answers"), headers=AGAIN_HEADERS)
    response = HttpResponse(content_type="text/event-stream")
    response["X-Offload-to-SSE"] = board
    return response


@csrf_exempt  # the address is the secret, there is no cookie; and JSON cannot be sent by a form of another site
@require_POST
@with_token
def act(request, board):
    """A button of the teacher's board."""
    try:
        order = json.loads(request.body)
        kind = order["kind"]
        fields = {name: order[name] for name in FIELDS[kind]}
        allowed = is_allowed(kind, fields)
    except (ValueError, KeyError, TypeError, RecursionError):  # no JSON, or of other types
        allowed = False
    if board != "teacher" or request.content_type != "application/json" or not allowed:
        return HttpResponseBadRequest("no such order\n", "text/plain")
    state.publish(kind, secrets.token_hex(16), **fields)
    return HttpResponse(status=204)


FIELDS = {"section": ["section"], "show": ["what"], "reveal": ["notebook", "stage"], "lower": ["seat_number"]}


def is_allowed(kind, fields):
    if kind == "section":
        return is_count(fields["section"]) and fields["section"] < len(state.TIMETABLE.entries)
    if kind == "show":
        return fields["what"] in (JOIN, INTUITION, *state.QUESTIONS)
    if kind == "reveal":
        return fields["notebook"] in state.QUESTIONS and fields["stage"] in (HIDDEN, GUESSES, MEASURED)
    return is_count(fields["seat_number"])


# --- pictures


def teacher_picture():
    board, last = state.present_board()
    now = time.time()
    here = place.place(state.TIMETABLE, board.section, now - board.began)
    columns = table.columns(board, state.STEPS, here.step)
    question = state.QUESTIONS.get(board.shown)
    return {
        "last": last,
        "place": here,
        "columns": columns,
        "rows": table.rows(board, columns, now),
        "seats": len(board.seats),
        "seen": board.seen_by(board.section),
        "hands": sum(seat.hand for seat in board.seats.values()),
        "shown": board.shown,
        "question": question,
        "stage": question and board.stage(question.notebook),
        "guessed": question and len(board.guesses(question.notebook)),
        "measured": question and board.measured(question.notebook),
        "questions": [(other, len(board.guesses(other.notebook))) for other in state.QUESTIONS.values()],
        "code": keys.code(state.KEY),
        "address": address(),
    }


def projector_picture():
    """No name is in it, and no guess before the reveal."""
    board, last = state.present_board()
    shown = {
        "last": last,
        "seats": len(board.seats),
        "shown": board.shown,
        "code": keys.code(state.KEY),
        "address": address(),
        "section": state.TIMETABLE.entries[board.section].section,
        "seen": board.seen_by(board.section),
    }
    if board.shown == INTUITION:
        return {**shown, "intuition": board.intuition(state.QUESTIONS.values())}
    if question := state.QUESTIONS.get(board.shown):
        return {**shown, **asked(board, question)}
    return shown


def asked(board, question):
    guesses, stage = board.guesses(question.notebook), board.stage(question.notebook)
    seen = {"question": question, "guessed": len(guesses)}
    if stage == HIDDEN:
        return seen
    measured = board.measured(question.notebook) if stage == MEASURED else None
    seen["plot"] = dots.dot_plot(guesses, measured)
    return seen if measured is None else {**seen, "measured": dots.short(measured)}


def address():
    return f"http://{settings.HOSTS[0]}:{argument('port')}/"


pictures = {"teacher": teacher_picture, "projector": projector_picture}
