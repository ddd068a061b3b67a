from django.contrib.auth.decorators import login_required
from django.urls import include, path
from django.utils.module_loading import import_string
from django.views.generic import TemplateView

from offload_lab.stages.site.arguments import argument

urlpatterns = [
    path("", login_required(TemplateView.as_view(template_name="page.html"))),
    path("subscribe", import_string(argument("view"))),  # the view that the INI's pyargv names
    path("", include("offload_lab.stages.site.urls")),
]
