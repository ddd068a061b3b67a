"""What has to fit."""

import re

from offload_lab.uwsgi.config.model import Config
from offload_lab.uwsgi.config.servers import COLLECTS, hand_overs

from .model import Found, Match, rule

DEFAULT_BUFFER = 4096
CONTENT = re.compile(r"message|payload|content\b|data|body|json|context|profile|claims|permissions", re.IGNORECASE)


@rule(
    "small-buffer",
    "warning",
    effect="a request with many cookies, or a longer message of the app's, gets no answer at all",
    cure="buffer-size = 16384 in the front and more in the backend; 65535 is the end",
)
def small_buffer(config: Config) -> Found:
    """Cookies can fill the default as well, but that is the clients' doing; here the app says that it sends more."""
    size = config.number("buffer-size", default=DEFAULT_BUFFER)
    if hand_overs(config) and size is not None and size <= DEFAULT_BUFFER:
        own = config.last("buffer-size")  # an earlier one, of an included file, is overridden
        for option in [*([own] if own else []), *config.all(*COLLECTS)]:
            if option is own or CONTENT.search(option.value):
                yield Match(option, f"all that the client sent and the app adds has to fit into {size} bytes")
