import os

from django.core.wsgi import get_wsgi_application

from offload_lab.stages.site import with_ping

os.environ["DJANGO_SETTINGS_MODULE"] = "classproject.settings"
application = with_ping(get_wsgi_application())
