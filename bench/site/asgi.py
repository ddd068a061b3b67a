"""For servers that speak ASGI."""

import os

from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]

from .memory import freeze

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.site.settings"
application = get_asgi_application()
freeze()
