"""What can be wrong with a configuration that offloads: one row a rule, with what it means and what to do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from . import looks
from .config import Config, Option
from .looks import Found

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Rule:
    """`users`: what happens to them. `pitfall`: the pair in steps/07_pitfalls that shows it, where there is one."""

    id: str
    level: Level
    look: Callable[[Config], Found]
    users: str
    cure: str
    pitfall: str | None = None


@dataclass(frozen=True)
class Finding:
    rule: Rule
    option: Option
    what: str


RULES = (
    Rule(
        "hand-over-in-worker",
        "error",
        looks.hand_over_in_worker,
        "the worker carries the connection itself until it ends: one visitor, and nobody else is answered",
        "offload-threads = 2",
        "no_offload_threads",
    ),
    Rule(
        "no-offload-threads",
        "warning",
        looks.no_offload_threads,
        "as many slow downloads or open streams as there are workers, and everybody else waits",
        "offload-threads = 2, and a route (or wsgi.file_wrapper) that hands over what takes long",
        "no_offload_threads",
    ),
    Rule(
        "nothing-handed-over",
        "warning",
        looks.nothing_handed_over,
        "whoever opens a stream keeps a worker for as long as the page is open",
        "let Django answer yes in a header, collect it, and hand over: response-route-if-not = empty:${…} uwsgi:…",
        "no_offload_threads",
    ),
    Rule(
        "one-offload-thread",
        "warning",
        looks.one_offload_thread,
        "when many come back at once a busy thread refuses, and the worker is lost to the connection it then carries",
        "more threads make it rarer, harakiri frees the worker; a view that refuses in time prevents it",
        "queue_full",
    ),
    Rule(
        "headers-twice",
        "error",
        looks.headers_twice,
        "two sets of headers: the second arrives as part of the stream, and a WebSocket's handshake fails",
        "before it, under the same condition: disableheaders: (or send:, where the app behind sends no headers)",
        "headers_twice",
    ),
    Rule(
        "headers-lost",
        "error",
        looks.headers_lost,
        "whoever is refused or redirected gets an answer without status and headers",
        "ask first: response-route-if-not = empty:${…} disableheaders:",
        "headers_lost",
    ),
    Rule(
        "request-variable",
        "error",
        looks.request_variable,
        "where the answer lacks that header (a 304 does) the visitor's own value decides: past Django, to the stream",
        "collect it under a name that no request can set: collect-header = Content-Type OFFLOAD_TYPE",
        "content_type_bypass",
    ),
    Rule(
        "refusal-ignored",
        "error",
        looks.refusal_ignored,
        "Django's no does not count: strangers get the stream",
        "hand over only on a word of Django's: response-route-if-not = empty:${…} …, from a header that you collect",
        "content_type_bypass",
    ),
    Rule(
        "visitor-names-target",
        "error",
        looks.visitor_names_target,
        "visitors read any file that the worker can read, or reach any server that it can reach",
        "take the target from a header that the app sets, collected under a name that no request can set",
        "static_safe",
    ),
    Rule(
        "static-safe",
        "warning",
        looks.static_safe,
        "a path that slips through the app is served, /etc/passwd as well: static: takes the path itself as its root",
        "check the name in the app, and do not rely on static-safe here",
        "static_safe",
    ),
    Rule(
        "honour-range",
        "error",
        looks.honour_range,
        "an offload thread sends more of the file than the range that was announced, and resumed downloads break",
        "leave honour-range out",
    ),
    Rule(
        "small-buffer",
        "warning",
        looks.small_buffer,
        "whoever brings many cookies, or gets a longer message, gets no answer at all",
        "buffer-size = 65535 in the front and in the app behind; that is the most there is",
        "buffer_size",
    ),
    Rule(
        "late-monkey-patch",
        "warning",
        looks.late_monkey_patch,
        "a driver that looked when it was imported blocks: one query, and all visitors of the process wait for it",
        "gevent-early-monkey-patch = true, and a driver that cooperates",
        "orm_in_gevent",
    ),
    Rule(
        "gevent-django",
        "warning",
        looks.gevent_django,
        "one query, lock or call that blocks, and all visitors of the process wait for it",
        "Django in plain processes; only what streams in a gevent app of its own, behind a private socket",
        "gevent_django",
    ),
    Rule(
        "recycling-cuts",
        "warning",
        looks.recycling_cuts,
        "all offloaded connections of a worker are cut at the moment in which it is replaced",
        "leave it out of the front, and let clients continue where they were (Last-Event-ID)",
        "recycle_cuts",
    ),
    Rule(
        "sigterm-reloads",
        "warning",
        looks.sigterm_reloads,
        "a stop from systemd, Docker or a supervisor reloads: streams are cut, and the end is a kill after its timeout",
        "die-on-term = true",
        "sigterm_reloads",
    ),
    Rule(
        "public-backend",
        "error",
        looks.public_backend,
        "whoever reaches it speaks to the app as any visitor they like, past every check of the front",
        "a UNIX socket in a folder of your own, or 127.0.0.1",
        "content_type_bypass",
    ),
    Rule(
        "public-stats",
        "error",
        looks.public_stats,
        "it shows the requests under way with their cookies: enough to be somebody else",
        "a UNIX socket in a folder of your own, or 127.0.0.1",
    ),
    Rule(
        "predictable-socket",
        "warning",
        looks.predictable_socket,
        "another user of the machine can be there first, and is sent your visitors' cookies",
        "a folder that only your user can enter: umask = 077, and below /run or beside the project",
    ),
    Rule(
        "open-socket",
        "warning",
        looks.open_socket,
        "any local program speaks to the app as any visitor it likes",
        "chmod-socket = 660 and a group that you share with the front, or no chmod-socket at all",
        "open_stats",
    ),
    Rule(
        "no-need-app",
        "warning",
        looks.no_need_app,
        "an app that cannot be imported is no reason not to start: every visitor gets a 500, and the deploy looks fine",
        "need-app = true",
    ),
    Rule(
        "placeholder-kept",
        "error",
        looks.placeholder_kept,
        "a socket or a folder with a strange name, and nobody finds it: uWSGI skips what a placeholder begins with",
        "write it out where it is used, or begin the placeholder's value with anything but another placeholder",
    ),
    Rule(
        "no-strict",
        "warning",
        looks.no_strict,
        "a misspelt option (offload-treads) does nothing and says nothing",
        "strict = true, as the first option",
    ),
)


def lint(config: Config) -> list[Finding]:
    """All findings, in the order of the lines, one rule and line at most once."""
    found = {
        (rule.id, option.file, option.line): Finding(rule, option, what)
        for rule in reversed(RULES)
        for option, what in rule.look(config)
    }
    files = list(dict.fromkeys([config.file, *(option.file for option in config.options)]))
    return sorted(found.values(), key=lambda one: (files.index(one.option.file), one.option.line, one.rule.id))
