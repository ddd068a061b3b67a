from boardproject.views import page as board
from django.urls import include, path

from . import views

urlpatterns = [
    path("", views.page),
    path("subscribe", views.subscribe),
    path("board", board),
    path("ws", views.websocket),
    path("", include("offload_lab.stages.site.urls")),
]
