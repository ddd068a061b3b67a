from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path
from offload import health

urlpatterns = [
    path("ping", health.ping),
    path("ready", health.ready),
    path("accounts/login/", LoginView.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("", include("notifications.urls")),
    path("", include("chat.urls")),
    path("", include("downloads.urls")),
]
