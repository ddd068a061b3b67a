"""What a learner has done that the class may hear of: guesses with measurements, and tasks."""

from collections.abc import Iterator
from functools import cache

from offload_lab.exercises import progress
from offload_lab.exercises.progress import TaskRecord
from offload_lab.measure.guesses import Guess, first_guesses
from offload_lab.stages import manifest
from offload_lab.stages.step import Step

from .messages import Message, is_number
from .outbox import Outbox
from .questions import questions

News = tuple[str, str, Message]  # subject, kind, fields


def queue_news(outbox: Outbox) -> list[News]:
    """Queue all that is new or has changed; returns that."""
    found = [news for news in all_news() if outbox.last_queued.get(news[0]) != news[2]]
    for news in found:
        outbox.add(*news)
    return found


@cache
def about() -> tuple[list[Step], set[str]]:
    """The steps, and the notebooks with a question; they do not change while a seat is taken."""
    return manifest.steps(), {question.notebook for question in questions()}


def all_news() -> Iterator[News]:
    steps, asked = about()
    for guess in first_guesses():
        if guess.notebook in asked and is_number(guess.guess):
            yield f"guess {guess.notebook}", "guess", guess_fields(guess)
    known = progress.load()
    for step in steps:
        for task in step.exercises:
            record = known.of(step, task)
            if record != TaskRecord():
                yield f"task {step.name} {task.name}", "task", task_fields(step.name, task.name, record)


def guess_fields(guess: Guess) -> Message:
    """`measured` is None where it has no end: no bystander was ever answered."""
    measured = guess.measured if is_number(guess.measured) else None
    return {"notebook": guess.notebook, "guess": guess.guess, "measured": measured}


def task_fields(step: str, task: str, record: TaskRecord) -> Message:
    state = "passed" if record.passed else "given" if record.given else "open"
    return {"step": step, "task": task, "tries": record.tries, "hints": record.hints, "state": state}
