"""The files that are deployed beside a Django project, with its names filled in: `project` looks, `files` decides."""

from .files import File, plan, write
from .project import Project, look

__all__ = ["File", "Project", "look", "plan", "write"]
