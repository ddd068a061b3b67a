"""Whether a result may be shown: not before the learner has answered the question, unless they asked to see it."""

import os
from dataclasses import dataclass

REVEAL = "LAB_REVEAL"  # set where nobody guesses: in the book, on slides, in tests
NUMBERS = "Write a number into the guess cell, run that cell and this one again: being wrong helps."


@dataclass
class Question:
    """What the learner has not answered yet. `about_code`: the files would answer it as well."""

    missing: bool = False
    about_code: bool = False
    revealed: bool = False


question = Question()


def reveal() -> None:
    """Show every result from now on, without an answer."""
    question.revealed = True
    print("From now on results are shown without an answer of yours. Run the cells below again.")


def is_revealed() -> bool:
    return question.revealed or bool(os.environ.get(REVEAL))


def ask(*, about_code: bool = False) -> None:
    """Hide results until `answered`."""
    question.missing, question.about_code = not is_revealed(), about_code


def answered() -> None:
    question.missing = False


def hides(what: str, *, code: bool = False) -> bool:
    """Whether `what` must not be shown yet; says so."""
    hidden = question.missing and (question.about_code or not code) and not is_revealed()
    if hidden:
        print(f"({what}: hidden until you have answered the question above; lab.reveal() shows it without)")
    return hidden
