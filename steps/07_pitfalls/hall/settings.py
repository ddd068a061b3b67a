import sys

from sseproject.settings import *

ROOT_URLCONF = "hall.urls"
if "gzip" in sys.argv:  # middleware_gzip: behind all others, so it is the first to see a view's response
    MIDDLEWARE = [*MIDDLEWARE, "django.middleware.gzip.GZipMiddleware"]
