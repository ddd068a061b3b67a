"""The Django that every contestant runs, and the events that every stream carries."""
