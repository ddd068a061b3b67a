"""Names that are no option, and values that are not what they look like."""

import re
from collections.abc import Iterator

from offload_lab.uwsgi.config.expand import names_in
from offload_lab.uwsgi.config.model import OFF, Config, Option
from offload_lab.uwsgi.config.options import known, nearest
from offload_lab.uwsgi.config.servers import APPS, COLLECTS, SOCKETS, STATS, is_tcp, listens

from .model import Found, Match, from_problems, rule

COMMENT = re.compile(r"(?:^|\s)([;#](?=\s|\w).*)$")
# options whose value is one word or a few, never shell or free text
WORDS = {
    *(name for name in APPS if name != "eval"), *COLLECTS, *SOCKETS, *STATS, "http-socket", "chdir", "chdir2", "home",
    "virtualenv", "venv", "pyhome", "pythonpath", "python-path", "pp", "pidfile", "pidfile2", "safe-pidfile",
    "daemonize", "daemonize2", "logto", "logto2", "touch-reload", "static-map", "uid", "gid", "chmod-socket", "chmod",
    "chown-socket", "plugins", "plugin", "callable", "set-placeholder", "set-ph", "emperor",
}  # fmt: skip


@rule(
    "comment-in-value",
    "error",
    effect="only a whole line can be a comment: uWSGI takes the rest of this one as part of the value",
    cure="move the comment to a line of its own",
)
def comment_in_value(config: Config) -> Found:
    """Only where it does harm: of a number uWSGI reads the digits, of a port as well, and yes with a comment is yes."""
    for option in own_lines(config):
        match = COMMENT.search(option.value)
        if match is None or match[1] not in option.text or option.text.lstrip().startswith("<"):
            continue
        value = option.value[: match.start(1)].strip()
        if takes_the_comment(option, value, config):
            yield Match(option, f"the value is '{option.value}'", part=match[1])


def takes_the_comment(option: Option, value: str, config: Config) -> bool:
    kind = known().kinds.get(option.name)
    if kind == "flag":
        return value.lower() in OFF or value == ""
    if kind is None:
        return is_asked_for(option.name, config)
    return option.name in WORDS and not (is_tcp(value) and option.name not in COLLECTS)


# --- names


@rule(
    "unknown-option",
    "warning",
    effect="uWSGI takes an unknown name for a placeholder of yours and says nothing: the line does nothing",
    cure="take the line out, or write the option that you mean",
)
def unknown_option(config: Config) -> Found:
    """Own names that a value, or another line, asks for are none of these; under `strict` uWSGI does not start."""
    strict = config.last("strict")
    refused, elsewhere = strict is not None and strict.on, may_be_asked_for_elsewhere(config)
    for option in own_keys(config):
        guess = nearest(option.name, known().likely)
        if is_asked_for(option.name, config) or (elsewhere and not guess and not refused):
            continue
        what = f"uWSGI has no option {option.name}" + (f"; there is {guess}" if guess else "")
        first, space, rest = option.name.partition(" ")
        if space and first in known().kinds:
            what, guess = f"'{option.name}' is one name: write {first} = {rest}={option.value}", None
        if "=" not in option.text and re.match(r"[\w-]+\s*:", option.name):
            what, guess = f"'{option.name}' is one name: an INI file wants NAME = VALUE", None
        if refused:
            what += ": with strict = true it does not start"
        yield Match(option, what, option.name, level="error" if refused else None, cure=write(guess, option))
    for option in config.all("vassal-set", "vassals-set"):
        name = option.value.partition("=")[0]
        if name not in known().kinds:
            guess = nearest(name, known().likely)
            yield Match(option, f"uWSGI has no option {name}" + (f"; there is {guess}" if guess else ""), name)
    for option in config.all("else"):
        yield Match(option, "uWSGI 2.0 knows no else: what stands below it counts where the condition above it holds")


def may_be_asked_for_elsewhere(config: Config) -> bool:
    """In a file that was not read: this one imports it, or is itself a part that others import."""
    unread = any(problem.kind == "unread-import" for problem in config.problems)
    return unread or not (listens(config) or config.all(*APPS, "emperor"))


def write(guess: str | None, option: Option) -> str:
    return f"{guess} = {option.value}" if guess else ""


@rule(
    "strict-refuses",
    "error",
    effect="uWSGI does not start: [strict-mode] unknown config directive",
    cure="make it a placeholder: set-placeholder = NAME=VALUE",
)
def strict_refuses(config: Config) -> Found:
    strict = config.last("strict")
    for option in own_keys(config) if strict and strict.on else []:
        if is_asked_for(option.name, config):
            what = f"{option.name} is a name of your own, and strict = true admits none"
            yield Match(option, what, option.name, (strict,) if strict else (), cure=as_placeholder(option, config))


def as_placeholder(option: Option, config: Config) -> str:
    """uWSGI expands a plain line, and a placeholder's own value not: it has to be written out."""
    written = option.text.partition("=")[2].strip() or option.value
    hint = " (written out: a placeholder's own value is not expanded)" if names_in(written) & names(config) else ""
    return f"set-placeholder = {option.name}={option.value}{hint}"


def own_keys(config: Config) -> Iterator[Option]:
    """Lines whose name is neither an option nor one that a plugin or `declare-option` may bring."""
    declared = {option.value.partition("=")[0].strip() for option in config.all("declare-option", "declare-option2")}
    if brings_unknown_options(config):
        return
    for option in own_lines(config):
        if option.name not in known().kinds and option.name not in declared and not re.search(r"[{<%$]", option.name):
            yield option


def own_lines(config: Config) -> list[Option]:
    """What stands in a line of its own, once, however often a loop repeats it."""
    lines = {
        (option.file, option.line, option.name): option for option in config.options if option.plain and option.name
    }
    return list(lines.values())


def brings_unknown_options(config: Config) -> bool:
    """Whether a plugin is loaded that is none of uWSGI's own."""
    loaded = {
        re.sub(r"^.*/|_plugin\.so$|^\d+:", "", name.strip())
        for option in config.all("plugin", "plugins", "need-plugin", "need-plugins")
        for name in option.value.split(",")
    }
    families = re.compile(
        r"python|rack|rbthreads|fiber|psgi|coroae|php|lua|pypy|gevent|greenlet|asyncio|tornado|jvm|ring"
    )
    return any(name and name not in known().plugins and not families.match(name) for name in loaded)


def is_asked_for(name: str, config: Config) -> bool:
    """Whether a value speaks of `name`, as it stands in the file."""
    return any(name in names_in(option.text) or name in names_in(option.value) for option in config.options)


def names(config: Config) -> set[str]:
    return {option.name for option in config.options}


# --- placeholders


@rule(
    "placeholder-is-option",
    "error",
    effect="uWSGI does not start: you cannot use it as a placeholder, it is already available as an option",
    cure="set = NAME=VALUE sets the option; a placeholder wants a name of its own",
)
def placeholder_is_option(config: Config) -> Found:
    for option in config.all("set-placeholder", "set-ph"):
        name = option.value.partition("=")[0]
        if name in known().kinds:
            yield Match(option, f"{name} is an option", part=name)


@rule(
    "placeholder-kept",
    "error",
    effect="uWSGI reads it to the letter: a socket or a folder with a strange name",
    cure="write it out where it is used: a placeholder's own value is not expanded, and what begins with one stays so",
)
def placeholder_kept(config: Config) -> Found:
    for option in config.options:
        kept = next((name for name in names_in(option.value) if name in names(config)), None)
        if kept and not option.raw and option.name in {*SOCKETS, *STATS, *WORDS, "http", "env"}:
            values = [setting for setting in config.options if setting.name == kept]
            if not any(setting.maybe for setting in values):
                yield Match(option, f"%({kept}) is not replaced here", part=f"%({kept})")


@rule(
    "invalid-placeholder",
    "error",
    effect="uWSGI does not start: invalid placeholder/--set value",
    cure="set-placeholder = NAME=VALUE",
)
def invalid_placeholder(config: Config) -> Found:
    return from_problems(config, "invalid-placeholder")


@rule(
    "endless-value",
    "error",
    effect="uWSGI never starts: it puts the value into itself until memory ends",
    cure="give the two names of their own",
)
def endless_value(config: Config) -> Found:
    return from_problems(config, "endless-value")


# --- files and conditions


@rule(
    "import-circle",
    "error",
    effect="uWSGI never starts: it reads the files in a circle",
    cure="take one of the imports out",
)
def import_circle(config: Config) -> Found:
    return from_problems(config, "import-circle")


@rule(
    "nested-condition",
    "error",
    effect="uWSGI does not start where the outer condition holds: recursive logic in options is not supported",
    cure="one condition at a time, each with its end",
)
def nested_condition(config: Config) -> Found:
    return from_problems(config, "nested-condition")


@rule(
    "unread-import",
    "note",
    effect="what stands there was not judged; where uWSGI comes to the line and finds no file, it does not start",
    cure="lint on the machine on which the file is, or name the files together",
)
def unread_import(config: Config) -> Found:
    return from_problems(config, "unread-import")


@rule(
    "yaml-stops",
    "warning",
    effect="uWSGI without libyaml (the pyuwsgi wheel is one) reads nothing of what stands below",
    cure="an INI file, or move what has several lines to the end",
)
def yaml_stops(config: Config) -> Found:
    return from_problems(config, "yaml-stops")
