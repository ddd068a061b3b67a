"""Options that uWSGI takes from ``UWSGI_*`` variables before it reads any file."""

from collections.abc import Iterator, Mapping

from .model import ENVIRONMENT, Option

NOT_OPTIONS = {
    "UWSGI_RELOADS", "UWSGI_VASSALS_DIR", "UWSGI_EMPEROR_FD", "UWSGI_BROODLORD_NUM", "UWSGI_EMPEROR_FD_CONFIG",
    "UWSGI_EMPEROR_PROXY", "UWSGI_JAIL_PID", "UWSGI_ORIGINAL_PROC_NAME",
}  # fmt: skip
FILES = {"UWSGI_INI", "UWSGI_YAML", "UWSGI_YML", "UWSGI_JSON", "UWSGI_XML", "UWSGI_INCLUDE", "UWSGI_INHERIT"}


def from_environment(environ: Mapping[str, str]) -> Iterator[Option]:
    """The file that is linted is named by the caller: those that the environment names are left out."""
    for name, value in environ.items():
        if name.startswith("UWSGI_") and name not in NOT_OPTIONS | FILES:
            option = name.removeprefix("UWSGI_").lower().replace("_", "-")
            yield Option(option, value, ENVIRONMENT, 0, text=f"{name}={value}")
