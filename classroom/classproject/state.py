"""What the class has said, in Redis: written as events of the feed, read as a board, by one request at a time."""

import json

import feed
from django.conf import settings

from offload_lab.classroom.board import Board
from offload_lab.classroom.messages import MOST_MESSAGES, Known
from offload_lab.classroom.questions import questions
from offload_lab.course.agenda import plan
from offload_lab.stages import manifest
from offload_lab.stages.site.arguments import argument

MOST_SEATS = 100
HISTORY = MOST_SEATS * MOST_MESSAGES  # nothing is trimmed as long as a class lasts
DAY_S = 24 * 3600
feed.TOKEN_S = DAY_S  # a laptop that slept may send again hours later

STEPS = manifest.steps()
QUESTIONS = {question.notebook: question for question in questions()}
TIMETABLE = plan(STEPS, int(argument("minutes")))
KNOWN = Known(
    notebooks=frozenset(QUESTIONS),
    tasks=frozenset((step.name, task.name) for step in STEPS for task in step.exercises),
    sections=len(TIMETABLE.entries),
)
KEY = settings.SECRET_KEY
redis = feed.connect(argument("redis"), timeout_s=2)
feed.newest(redis)  # a page's stream needs a place in the feed to begin from
board = Board()
_last = "-"


def publish(kind, token, **details):
    """Append an event, once for each token."""
    return feed.publish(redis, kind, token=token, patience_s=1, history=HISTORY, **details)


def present_board():
    """The board with all events up to now, and the last one's id."""
    global _last
    while rows := redis.xrange(feed.FEED, min="-" if _last == "-" else f"({_last}", count=feed.PAGE):
        for id, fields in rows:
            board.apply(fields["type"], json.loads(fields["data"]), int(id.partition("-")[0]) / 1000)
            _last = id
    return board, _last


def too_often(what, most, within_s):
    """Count one more of `what`; whether there were more than `most` within so many seconds."""
    key = f"rate:{what}"
    with redis.pipeline() as both:
        count, _ = both.incr(key).expire(key, within_s, nx=True).execute()
    return count > most
