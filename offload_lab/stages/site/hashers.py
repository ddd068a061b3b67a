"""For passwords that everybody may know."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher  # type: ignore[import-untyped]


class PublishedPasswordHasher(PBKDF2PasswordHasher):  # type: ignore[misc]
    """Django's own, with a thousandth of its work: no protection, and none is needed for the demo users."""

    algorithm = "pbkdf2_sha256_published"
    iterations = 1_000
