"""For servers that speak WSGI."""

import gc
import os

from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.site.settings"
application = get_wsgi_application()
# loaded code is never garbage: a first full collection, some 30 ms, would delay one of the first requests
gc.collect()
gc.freeze()
