"""A client with cookies that logs in through Django's form."""

import re
from collections.abc import Mapping
from contextlib import suppress
from email.message import Message
from http.client import HTTPException
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from offload_lab.stages.site.users import DEMO_USER, DEMO_USERS

from .http import Answer, fetch

LOGIN = "/accounts/login/"
LOGOUT = "/accounts/logout/"
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Session:
    """Sends requests to `port` and keeps the cookies; `cookie` is the Cookie header, for another client."""

    def __init__(self, port: int, timeout_s: float = 30.0) -> None:
        self.cookies: dict[str, str] = {}
        self._port, self._timeout_s = port, timeout_s

    @property
    def cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def ask(
        self, method: str, path: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own; redirects are not followed.

        Raises: OSError or HTTPException.
        """
        body = urlencode(form) if form is not None else None
        sent = {**({"Cookie": self.cookie} if self.cookies else {}), **(headers or {})}
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        answer = fetch(self._port, path, method, sent, body, self._timeout_s)
        self._keep(answer.headers)
        return answer

    def _keep(self, headers: Message) -> None:
        for line in headers.get_all("Set-Cookie", []):
            for name, morsel in SimpleCookie(line).items():
                self.cookies[name] = morsel.value
                if morsel["max-age"] == "0":
                    del self.cookies[name]

    def log_in(self, name: str = DEMO_USER, password: str = DEMO_USERS[DEMO_USER]) -> None:
        """Raises: PermissionError where Django shows the form again; OSError or HTTPException."""
        answer = self._send_form(LOGIN, {"username": name, "password": password})
        if answer.status != 302:
            raise PermissionError(
                f"{name} could not log in: {LOGIN} answered {answer.status}, expected 302; check the password"
            )

    def log_out(self) -> None:
        self._send_form(LOGOUT, {})

    def _send_form(self, path: str, form: dict[str, str]) -> Answer:
        """POST `form` with the login page's CSRF token."""
        token = TOKEN.search(self.ask("GET", LOGIN).body.decode())
        if token is None:
            raise PermissionError(f"{LOGIN} has no login form; is the stage one with users?")
        return self.ask("POST", path, form={"csrfmiddlewaretoken": token[1], **form})


def login_cookie(port: int, name: str, password: str, timeout_s: float = 5.0) -> str:
    """The Cookie header of a new session of `name`; empty if the login fails or nothing answers."""
    session = Session(port, timeout_s)
    with suppress(OSError, HTTPException):
        session.log_in(name, password)
    return session.cookie
