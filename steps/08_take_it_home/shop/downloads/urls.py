from django.urls import path

from . import views

urlpatterns = [
    path("downloads/", views.page, name="downloads"),
    path("downloads/<path:name>", views.download, name="download"),
]
