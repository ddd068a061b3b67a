"""Files that offload threads send, and what keeps them from it or ends them."""

from offload_lab.uwsgi.config.model import Config
from offload_lab.uwsgi.config.routes import routes, variables_in
from offload_lab.uwsgi.config.servers import file_routes, offloads

from .model import Found, Match, rule


@rule(
    "static-safe",
    "warning",
    effect="a path that slips through the app is served, /etc/passwd too: static: takes the path itself as its root",
    cure="check the name in the app, and do not rely on static-safe here",
)
def static_safe(config: Config) -> Found:
    option = config.last("static-safe")
    sends = [route for route in file_routes(config) if route.table == "response" and variables_in(route.argument)]
    if option and sends:
        what = f"does not confine what line {sends[0].option.line} may send"
        yield Match(option, what, related=(sends[0].option,))


@rule(
    "honour-range",
    "error",
    effect="an offload thread sends from the range's start to the file's end: resumed downloads break",
    cure="leave honour-range out",
    issue="unbit/uwsgi #1884",
)
def honour_range(config: Config) -> Found:
    option = config.last("honour-range")
    if option and option.on and offloads(config):
        yield Match(option, "ranges together with offload threads")


@rule(
    "cache-offload",
    "error",
    effect="an offload thread may send a cached body before the worker has sent the headers: some answers have none",
    cure="no_offload=true in the cache action",
    issue="unbit/uwsgi #925, #2215",
)
def cache_offload(config: Config) -> Found:
    for route in routes(config, "", "response", "error", "final"):
        if route.action in ("cache", "cache-continue") and offloads(config) and "no_offload" not in route.argument:
            yield Match(route.option, "a cache action together with offload threads", part=f"{route.action}:")


@rule(
    "file-wrapper-disabled",
    "warning",
    effect="the app is not offered wsgi.file_wrapper: the worker itself sends the files that the app returns",
    cure="leave wsgi-disable-file-wrapper out",
)
def file_wrapper_disabled(config: Config) -> Found:
    option = config.last("wsgi-disable-file-wrapper")
    if option and option.on and config.positive("offload-threads", "offload-thread"):
        yield Match(option, "offload threads, and no file_wrapper that would use them")
