"""The Django project that every server runs, and the events that every stream carries."""
