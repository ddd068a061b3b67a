"""For servers that speak ASGI."""

import gc
import os

from django.core.asgi import get_asgi_application  # type: ignore[import-untyped]

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.site.settings"
application = get_asgi_application()
# loaded code is never garbage: a first full collection, some 30 ms, would delay one of the first requests
gc.collect()
gc.freeze()
