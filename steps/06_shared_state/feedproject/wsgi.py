from offload_lab.stages.site.wsgi import django_application

application = django_application("feedproject.settings")
