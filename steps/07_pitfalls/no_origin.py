"""Step 04's Django without the question where a request comes from: what is left if one relies on uWSGI's handshake."""

from boardproject import views

from offload_lab.stages.site.wsgi import django_application

views.is_allowed = lambda origin, own: True
application = django_application("boardproject.settings")
