"""Three questions: does a worker run (`/ping`), does it have all that it needs (`/ready`)? The third, whether a stream
comes through, only a client can answer: watch.md."""

import redis
from django.conf import settings
from django.db import Error, connection
from django.http import HttpResponse, JsonResponse

from .backends import choose, kinds
from .feed import connect

_redis = connect(settings.REDIS_URL, timeout_s=1)


def ping(request):
    return HttpResponse("pong", content_type="text/plain")


def ready(request):
    """200, or 503 with what is missing."""
    found = {"database": has_database(), "redis": has_redis()}
    found |= {kind: choose(kind) is not None for kind in kinds()}
    return JsonResponse(found, status=200 if all(found.values()) else 503)


def has_database():
    try:
        connection.ensure_connection()
        return connection.is_usable()
    except Error:
        return False


def has_redis():
    try:
        return _redis.ping()
    except redis.RedisError:
        return False
