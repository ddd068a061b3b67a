from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.page),
    path("ws", views.websocket),
    path("", include("offload_lab.stages.site.urls")),
]
