from django.urls import include, path
from django.utils.module_loading import import_module

from offload_lab.stages.site.arguments import argument

urlpatterns = [*import_module(argument("views")).urlpatterns, path("", include("offload_lab.stages.site.urls"))]
