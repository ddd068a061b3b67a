"""A wrong answer is recognised by a slow download, as in every step that sends files."""

from offload_lab.exercises.slow_download import RULES, UNTOLD, observe

__all__ = ["RULES", "UNTOLD", "observe"]
