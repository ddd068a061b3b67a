from django.conf import settings
from django.urls import include, path
from django.utils.module_loading import import_module

urlpatterns = [*import_module(settings.HALL_VIEWS).urlpatterns, path("", include("offload_lab.stages.site.urls"))]
