from django.urls import path

from . import views

urlpatterns = [
    path("", views.page, name="notifications"),
    path("subscribe", views.subscribe, name="subscribe"),
    path("notify", views.send, name="notify"),
]
