"""django-eventstream: its view holds the streams, and a thread of the same process publishes."""

import os
import threading

from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]

from .feeds import message, turns
from .memory import freeze

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.site.settings_eventstream"
application = get_asgi_application()


def publish() -> None:
    from django_eventstream import send_event

    for feed, due in turns():
        send_event(feed, "message", message(feed, due), json_encode=False)


threading.Thread(target=publish, daemon=True).start()
freeze()
