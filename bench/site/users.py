"""Users are read from the database once: its speed is not what is measured."""

from functools import lru_cache
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.backends import ModelBackend  # type: ignore[import-untyped]


@lru_cache
def read(user_id: Any) -> Any:
    return ModelBackend().get_user(user_id)


class Remembered(ModelBackend):  # type: ignore[misc]
    def get_user(self, user_id: Any) -> Any:
        return read(user_id)

    async def aget_user(self, user_id: Any) -> Any:
        """ModelBackend's reads the database, over a connection of its own for each thread."""
        return await sync_to_async(read)(user_id)
