from offload_lab.site.wsgi import django_application

application = django_application("hallproject.settings")
