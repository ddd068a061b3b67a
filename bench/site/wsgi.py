"""For servers that speak WSGI."""

import os

from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]

from .memory import freeze

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.site.settings"
application = get_wsgi_application()
freeze()
