from django.urls import path
from sseproject.urls import urlpatterns as step_03  # /subscribe is the view that the INI's pyargv names

from . import views

urlpatterns = [path("opening-hours", views.opening_hours), path("buy", views.buy), *step_03]
