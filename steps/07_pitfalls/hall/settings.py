from sseproject.settings import *

from offload_lab.stages.site.arguments import arguments

ROOT_URLCONF = "hall.urls"
if "gzip" in arguments():  # middleware_gzip: behind all others, so it is the first to see a view's response
    MIDDLEWARE = [*MIDDLEWARE, "django.middleware.gzip.GZipMiddleware"]
