"""The article's workaround for Django's headers: a start_response that drops them, and the status with them."""

from pitfallproject.wsgi import application as django_application


def fake_start_response(status, headers, exc_info=None):
    pass


def application(environ, start_response):
    if environ["PATH_INFO"] == "/subscribe":
        return django_application(environ, fake_start_response)
    return django_application(environ, start_response)
