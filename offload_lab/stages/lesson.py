"""A step's own modules, which only its exercises and its notebook need."""

from importlib import import_module
from types import ModuleType

from .step import Step


def load_lesson(step: Step, module: str) -> ModuleType:
    """``steps/NN_name/lesson/<module>.py`` of the repository, whichever copy of the step is checked.

    Raises: ModuleNotFoundError if the step has none.
    """
    return import_module(f"steps.{step.name}.lesson.{module}")
