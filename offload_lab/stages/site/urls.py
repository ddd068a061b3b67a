"""Django's own login and logout, for a step's urls.py: ``path("", include("offload_lab.stages.site.urls"))``."""

from typing import Any

from django.contrib.auth.views import LoginView, LogoutView  # type: ignore[import-untyped]
from django.urls import path  # type: ignore[import-untyped]

urlpatterns: list[Any] = [
    path("accounts/login/", LoginView.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
]
