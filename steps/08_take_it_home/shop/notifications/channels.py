"""Who gets what: the channels of Django's users and groups, and the feed that they are in."""

from functools import cache

from django.conf import settings
from django.contrib.auth.models import Group
from offload.feed import Feed, connect

NAME = "notifications"
ALL = "all"


@cache
def feed():
    return Feed(connect(settings.REDIS_URL, timeout_s=1), NAME)


def channel_of(to):
    if to == ALL:
        return ALL
    return f"{'group' if isinstance(to, Group) else 'user'}:{to.pk}"


def channels_of(user):
    # >>> channels
    groups = user.groups.values_list("pk", flat=True)
    return [ALL, f"user:{user.pk}", *(f"group:{pk}" for pk in groups)]
    # <<<
