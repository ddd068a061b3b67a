"""Step 04's Django without its check of the Origin header: what is left where one relies on uWSGI's handshake."""

from boardproject import views

from offload_lab.stages.site.wsgi import django_application

views.is_allowed = lambda origin, own: True
application = django_application("boardproject.settings")
