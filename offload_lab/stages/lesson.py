"""A step's own code: what its exercises and its notebook need, and no other lesson does."""

from importlib import import_module
from types import ModuleType

from .manifest import Step


def load_lesson(step: Step, module: str) -> ModuleType:
    """``steps/NN_name/lesson/<module>.py`` of the repository, whatever copy of the step is tried.

    Raises: ModuleNotFoundError if the step has none.
    """
    return import_module(f"steps.{step.name}.lesson.{module}")
