import sys

from django.contrib.auth.decorators import login_required
from django.urls import include, path
from django.utils.module_loading import import_string
from django.views.generic import TemplateView

urlpatterns = [
    path("", login_required(TemplateView.as_view(template_name="page.html"))),
    path("subscribe", import_string(sys.argv[2])),  # the view that the INI's pyargv names
    path("", include("offload_lab.stages.site.urls")),
]
