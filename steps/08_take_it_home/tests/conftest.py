"""The deployed files on loopback, nginx with TLS included; ada is staff and a buyer, grace a buyer and a packer."""

import json
import ssl
from contextlib import contextmanager

import pytest

from offload_lab.clients.session import TOKEN, Session
from offload_lab.errors import MissingDependencyError
from offload_lab.stages import manifest, nginx
from offload_lab.stages.stage import Stage
from offload_lab.testing import require, require_program
from offload_lab.timeouts import scaled

STEP = manifest.find("08_take_it_home")
VARIANTS = ["deployed", "proxy_pass"]
TIMEOUT_S = 40


class Shop(Stage):
    """A stage with both users logged in; clients come through nginx unless they are told otherwise."""

    def prepare(self):
        self.ada, self.grace = Session(self.port), Session(self.port)
        self.ada.log_in()
        self.grace.log_in("grace", "hopper")
        self.token = TOKEN.search(self.ada.ask("GET", "/").body.decode())[1]

    @property
    def https(self):
        return self.proxy_url

    def http(self, user=None, **options):
        """An httpx client with that user's cookies, which checks nginx's certificate."""
        httpx = pytest.importorskip("httpx")
        headers = {"Cookie": user.cookie} if user else {}
        context = ssl.create_default_context(cafile=str(self.proxy.certificate))
        return httpx.Client(base_url=self.https, headers=headers, verify=context, timeout=scaled(TIMEOUT_S), **options)

    def notify(self, to, text, number):
        """As the page does; returns the event's id."""
        form = {"to": to, "text": text, "token": f"{number:036}", "csrfmiddlewaretoken": self.token}
        answer = self.ada.ask("POST", "/notify", form)
        assert answer.status == 200, answer
        return answer.body.decode().strip()

    def log_lines(self, name):
        """The lines of JSON in a process's log."""
        lines = self.process(name).log.read_text(errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"time"')]


def require_nginx():
    try:
        nginx.find()
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    require_program("openssl")


@contextmanager
def opened(variant, **options):
    require_nginx()
    with Shop(STEP, variant, **options) as shop:
        yield shop


@pytest.fixture(scope="session", params=VARIANTS)
def shop(request):
    with opened(request.param) as shop:
        yield shop
