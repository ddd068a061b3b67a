"""The views for a server that speaks ASGI: those that wait are async, as Django's documentation advises."""

from django.urls import include, path  # type: ignore[import-untyped]

from . import views, views_async

urlpatterns = [
    path("ping", views_async.ping),
    path("subscribe", views_async.subscribe),
    path("file", views_async.file),
    path("slow", views.slow),
    path("", include("offload_lab.stages.site.urls")),
]
