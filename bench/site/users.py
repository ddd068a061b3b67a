"""Users are read once: how fast a database says who somebody is, is no part of the contest."""

from functools import lru_cache

from django.contrib.auth.backends import ModelBackend


@lru_cache
def read(user_id):
    return ModelBackend().get_user(user_id)


class Remembered(ModelBackend):
    def get_user(self, user_id):
        return read(user_id)
