import sys

from sseproject.settings import *

ROOT_URLCONF = "pitfallproject.urls"
if "gzip" in sys.argv:  # middleware_gzip: last in the list, so the first to see a view's response
    MIDDLEWARE = [*MIDDLEWARE, "django.middleware.gzip.GZipMiddleware"]
