from django.urls import path

from . import health

urlpatterns = [path("ping", health.ping), path("ready", health.ready)]
