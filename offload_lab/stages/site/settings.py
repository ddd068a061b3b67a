"""What every Django stage shares; a step's settings begin with ``from offload_lab.stages.site.settings import *``."""

from logging import LogRecord
from pathlib import Path

from . import run_folder, secret_key

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]  # a stage is for this machine only
SECRET_KEY = secret_key(run_folder() / "secret-key")

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "offload_lab.stages.site.urls"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).with_name("templates")],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ]
        },
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": run_folder() / "django.sqlite3",
        # a writer takes the lock when it begins and waits for it, so two workers never meet "database is locked"
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
# The only two passwords here are published, and hashing them slowly would cost every stage half a second at its start.
# Leave this line out wherever a password is worth anything: Django's own choice is right.
PASSWORD_HASHERS = ["offload_lab.stages.site.hashers.PublishedPasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
USE_TZ = True
TIME_ZONE = "UTC"

# Behind an nginx.conf with TLS; it sets this header itself, and only this machine reaches a stage without it.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# A stage also speaks plain HTTP, so its cookies lack Secure; behind HTTPS set SESSION_COOKIE_SECURE and
# CSRF_COOKIE_SECURE.


def keep_to_one_line(record: LogRecord) -> bool:
    """What Django refuses with 400, as more fields than it takes, is the client's fault: no traceback."""
    if getattr(record, "status_code", None) == 400:
        record.exc_info = None
    return True


LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"one_line": {"()": "django.utils.log.CallbackFilter", "callback": keep_to_one_line}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "filters": ["one_line"]},
        "none": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        # a Host that is not ours: Django answers 400, and uWSGI's line in the log is enough
        "django.security.DisallowedHost": {"handlers": ["none"], "propagate": False},
    },
}
