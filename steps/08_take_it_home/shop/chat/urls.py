from django.urls import path

from . import views

urlpatterns = [path("chat", views.page, name="chat"), path("ws", views.websocket, name="websocket")]
