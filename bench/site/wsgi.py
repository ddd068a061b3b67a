"""For servers that speak WSGI."""

import gc
import os

from django.core.wsgi import get_wsgi_application

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.site.settings"
application = get_wsgi_application()
# what is there now stays: else the first full collection, some 30 ms, makes one of the first visitors wait
gc.collect()
gc.freeze()
