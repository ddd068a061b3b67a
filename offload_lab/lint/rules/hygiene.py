"""General advice, on one line for each file."""

from offload_lab.uwsgi.config.model import Config
from offload_lab.uwsgi.config.servers import APPS

from .model import Found, Match, rule
from .values import as_placeholder, is_asked_for, own_keys


@rule(
    "no-need-app",
    "hygiene",
    effect="an app that cannot be imported does not keep uWSGI from starting: each request gets a 500",
    cure="need-app = true",
)
def no_need_app(config: Config) -> Found:
    app = config.last(*APPS)
    if app and not config.on("need-app") and not config.on("lazy-apps") and not config.on("lazy"):
        yield Match(app, "no need-app")


@rule(
    "no-strict",
    "hygiene",
    effect="a misspelt option (offload-treads) does nothing and says nothing",
    cure="strict = true",
)
def no_strict(config: Config) -> Found:
    """`strict` refuses names of one's own: they are placeholders first, each with its value as it was expanded."""
    lines = [option for option in config.options if option.file == config.file]
    if not lines or config.on("strict"):
        return
    own = [option for option in own_keys(config) if is_asked_for(option.name, config)]
    cure = "; ".join([*(as_placeholder(option, config) for option in own), "then strict = true"]) if own else ""
    what = (
        f"no strict; {', '.join(option.name for option in own)} would have to be set-placeholder first"
        if own
        else "no strict"
    )
    yield Match(lines[0], what, cure=cure, related=tuple(own))
