"""What a server does once its code is loaded."""

import gc


def freeze() -> None:
    """Loaded code is never garbage: a first full collection, some 30 ms, would delay one of the first requests."""
    gc.collect()
    gc.freeze()
