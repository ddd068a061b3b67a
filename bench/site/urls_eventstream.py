"""The views for django-eventstream: its own for streams, those of urls_async for the rest."""

from django.urls import path  # type: ignore[import-untyped]

from . import urls_async, views_eventstream

urlpatterns = [path("subscribe", views_eventstream.subscribe), *urls_async.urlpatterns]
