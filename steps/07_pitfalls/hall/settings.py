from sseproject.settings import *

ROOT_URLCONF = "hall.urls"
