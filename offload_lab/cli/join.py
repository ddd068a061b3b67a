"""./lab join: take a seat at the class board, from a learner's folder."""

import os
import select
import sys
import time

import click

from offload_lab.classroom import outbox as outboxes
from offload_lab.classroom.messages import nickname as checked_nickname
from offload_lab.classroom.messages import sentence
from offload_lab.classroom.news import News, queue_news
from offload_lab.classroom.outbox import Outbox
from offload_lab.classroom.seat import (
    ClassPlace,
    UnreachableError,
    checked_url,
    deliver,
)
from offload_lab.classroom.seat import join as take_seat
from offload_lab.exercises.workspace import shown
from offload_lab.text import printable

from .console import out, say

EVERY_S = 2.0
KEYS = "h and Enter raises or lowers your hand, s and Enter says that you have seen the landmark, Ctrl-C leaves."
WHAT_IS_SENT = (
    "Sent to the teacher's machine, with your nickname: your guesses and what was measured, and which tasks you tried,"
    " took hints for, passed or were given. Never your code, paths or the machine's name. Each message is shown here"
    " before it is sent. The class sees no names, and no guess before the teacher reveals all of them."
)


@click.command(epilog="Example: ./lab join http://192.168.1.20:9000/ K7QX2M Kim")
@click.argument("url")
@click.argument("code")
@click.argument("nickname", required=False)
@click.option("--yes", is_flag=True, help="Do not ask before the first messages are sent.")
def join(url: str, code: str, nickname: str | None, yes: bool) -> None:
    """Join the class board at URL with the room's CODE, under a NICKNAME.

    Shows what it sends, and sends again later what did not arrive. Leave it running beside your work.
    """
    address = checked_url(url)
    with outboxes.alone():
        known = outboxes.load(address, code.upper())
        if known is None or not known.token or (nickname and nickname != known.nickname):
            name = checked_nickname(nickname or click.prompt("A nickname for the class"))
            known = Outbox(address, code.upper(), name)
        say(WHAT_IS_SENT)
        news = queue_news(known)
        for line in news:
            say_news(line)
        if not yes and not click.confirm("Join, and send this?" if news else "Join?", default=True):
            out.print("not joined; nothing was sent")
            return
        if not known.token:
            take_seat(known)
        known.save()
        out.print(f"\n[bold]joined[/] as {known.nickname}. {KEYS}\n", soft_wrap=True)
        try:
            stay(known)
        finally:
            if known.waiting:
                say(
                    f"{len(known.waiting)} not sent yet, kept in {shown(outboxes.place())}: the same command sends them"
                )


def say_news(news: News) -> None:
    say(sentence(news[1], news[2]), indent="  ")


def stay(outbox: Outbox) -> None:
    """Send what is new, until Ctrl-C.

    Raises: RefusedError where the class no longer takes it.
    """
    place: ClassPlace | None = None
    reached = True
    keys = KeyPresses()
    while True:
        for line in queue_news(outbox):
            say_news(line)
        changes = bool(outbox.waiting)
        if changes:
            outbox.save()  # the messages with their numbers, before they are sent
        try:
            before, place = place, deliver(outbox)
            if changes:
                outbox.save()
            say_place(before, place, back=not reached)
            reached = True
        except UnreachableError as error:
            if reached:
                say(
                    f"{printable(str(error))}. The lesson goes on: what is new waits here, and is sent later.",
                    style="yellow",
                )
            reached = False
        if not outbox.waiting or not reached:
            for key in keys.wait(EVERY_S):
                press(key, outbox, place)


def say_place(before: ClassPlace | None, place: ClassPlace, *, back: bool) -> None:
    if back:
        out.print("connected again: what waited is sent", style="green")
    for why in place.refused:
        say(f"not taken: {printable(why)}", style="yellow")
    if before is None or before.section != place.section:
        say(f"the class is at: {printable(place.title)}")
        if place.landmark:
            say(f"by its end you have seen: {printable(place.landmark)}", indent="  ")


def press(key: str, outbox: Outbox, place: ClassPlace | None) -> None:
    """Queue what a key means; it needs to be known where the class is."""
    if key not in ("h", "s") or place is None:
        say(KEYS)
        return
    if key == "h":
        waiting = [message["up"] for message in outbox.waiting if message["kind"] == "hand"]
        news: News = ("hand", "hand", {"up": not (waiting or [place.hand])[-1]})
    else:
        news = (f"seen {place.section}", "seen", {"section": place.section})
        if news[0] in outbox.last_queued:
            return
    outbox.add(*news)
    say_news(news)


class KeyPresses:
    """Lines typed at standard input, as they come; none once it is closed."""

    def __init__(self) -> None:
        self._open = True

    def wait(self, seconds: float) -> list[str]:
        if not self._open:
            time.sleep(seconds)
            return []
        if not select.select([sys.stdin], [], [], seconds)[0]:
            return []
        typed = os.read(sys.stdin.fileno(), 1024)
        self._open = bool(typed)
        return typed.decode(errors="replace").split()
