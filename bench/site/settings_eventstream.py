"""Django's settings for django-eventstream."""

from .settings import *  # noqa: F403
from .settings import INSTALLED_APPS as COMMON_APPS

INSTALLED_APPS = [*COMMON_APPS, "django_eventstream"]
