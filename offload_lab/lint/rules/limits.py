"""Numbers: what uWSGI reads of them, and buffers that requests and headers have to fit into."""

import re

from offload_lab.uwsgi.config.model import Config, Option, to_int
from offload_lab.uwsgi.config.options import known
from offload_lab.uwsgi.config.servers import COLLECTS, offloading_routes

from .model import Found, Match, rule
from .values import own_lines

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
    if offloading_routes(config) and size is not None and size <= DEFAULT_BUFFER:
        own = config.last("buffer-size")  # an earlier one, of an included file, is overridden
        for option in [*([own] if own else []), *config.all(*COLLECTS)]:
            if option is own or CONTENT.search(option.value):
                yield Match(option, f"all that the client sent and the app adds has to fit into {size} bytes")


NUMBER = re.compile(r"\s*[+-]?\d+")
UNIT = re.compile(r"\s*[+-]?\d+([A-Za-z_]\w*)")
SECONDS = re.compile(r"s|secs?|seconds?", re.IGNORECASE)
MEBIBYTES = re.compile(r"mi?b?", re.IGNORECASE)
IN_MEBIBYTES = re.compile(r"(evil-)?reload-on-|limit-as$|cheaper-rss-limit")


@rule(
    "no-number",
    "error",
    effect="uWSGI reads the digits with which a value begins, and 0 where it begins with none",
    cure="a plain number",
)
def no_number(config: Config) -> Found:
    for option in own_lines(config):
        if known().kinds.get(option.name) != "number" or not option.known or is_bare_element(option):
            continue
        unit = UNIT.match(option.value)
        if not NUMBER.match(option.value):
            what = f"{option.value!r} is no number" if option.value else "there is no number"
            yield Match(option, f"{what}, and uWSGI reads it as 0", part=option.value)
        elif unit and not is_its_own(unit[1], option.name):
            yield Match(option, f"uWSGI reads {option.value} as {to_int(option.value)}", part=option.value)


def is_bare_element(option: Option) -> bool:
    """`<offload-threads/>` has no value at all, and means 1."""
    return not option.value and option.text.lstrip().startswith("<")


def is_its_own(unit: str, name: str) -> bool:
    """The unit in which uWSGI counts anyway."""
    return bool(MEBIBYTES.fullmatch(unit) if IN_MEBIBYTES.match(name) else SECONDS.fullmatch(unit))
