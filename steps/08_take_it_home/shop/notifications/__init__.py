"""Notifications for one user, for a group, or for all: ``notify(user, "order", text="shipped")``."""


def notify(to, type, *, token=None, patience_s=5.0, **data):
    """Send an event to a User, to a Group, or to everybody ("all"). Returns its id.

    Once more with the same `token`, it is sent once.

    Raises: redis.ConnectionError or redis.TimeoutError after `patience_s`; whether it was sent is then unknown.
    """
    from .channels import channel_of, feed  # the backend, which has no Django, imports this package as well

    return feed().publish(channel_of(to), type, data, token=token, patience_s=patience_s)
