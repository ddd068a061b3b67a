from sseproject.settings import *

from offload_lab.stages.site.arguments import arguments

ROOT_URLCONF = "pitfallproject.urls"
if "gzip" in arguments():  # middleware_gzip: last in the list, so the first to see a view's response
    MIDDLEWARE = [*MIDDLEWARE, "django.middleware.gzip.GZipMiddleware"]
