"""No users, no sessions, no database: who may do what is in the tokens (offload_lab/classroom/keys.py)."""

from pathlib import Path

from offload_lab.stages.site import run_folder, secret_key
from offload_lab.stages.site.arguments import argument

DEBUG = False
SECRET_KEY = secret_key(run_folder() / "class-key")
HOSTS = argument("hosts").split(",")
ALLOWED_HOSTS = [*HOSTS, "127.0.0.1", "localhost"]
ROOT_URLCONF = "classproject.urls"
INSTALLED_APPS = []
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "classproject.policy.content_security_policy",
    "classproject.policy.known_hosts_only",
    "classproject.policy.one_at_a_time",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).with_name("templates")],
    }
]
DATA_UPLOAD_MAX_MEMORY_SIZE = 65536  # bytes; a seat sends at most 50 short messages at once
SECURE_REFERRER_POLICY = "no-referrer"
USE_TZ = True
