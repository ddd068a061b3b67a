from django.urls import include, path

urlpatterns = [
    path("accounts/", include("django.contrib.auth.urls")),
    path("", include("offload.urls")),
    path("", include("notifications.urls")),
    path("", include("chat.urls")),
    path("", include("downloads.urls")),
]
