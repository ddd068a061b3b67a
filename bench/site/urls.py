"""The views for a server that speaks WSGI."""

from django.urls import include, path  # type: ignore[import-untyped]

from . import views

urlpatterns = [
    path("ping", views.ping),
    path("subscribe", views.subscribe),
    path("file", views.file),
    path("slow", views.slow),
    path("", include("offload_lab.stages.site.urls")),
]
