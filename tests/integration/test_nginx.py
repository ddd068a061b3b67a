"""A real nginx before a stage: what it replaces, what it needs, what it leaves."""

import os
import re
import ssl
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import psutil
import pytest

from offload_lab import programs
from offload_lab.clients import ping
from offload_lab.errors import LabError, MissingDependencyError, PortInUseError, ProcessDiedError, StartError
from offload_lab.paths import ROOT
from offload_lab.process.deadlines import Deadline
from offload_lab.process.polling import wait_for
from offload_lab.stages import manifest, nginx
from offload_lab.stages.stage import Stage
from offload_lab.testing import require

pytestmark = pytest.mark.full

TIMEOUT_S = 30
SMALL = {"mib": "1"}
CONF = """
pid .run/nginx.pid;
events {}

http {
    access_log .run/access.log;
    client_body_temp_path .run/body;
    proxy_temp_path .run/proxy;
    fastcgi_temp_path .run/fastcgi;
    uwsgi_temp_path .run/uwsgi;
    scgi_temp_path .run/scgi;

    server {
        listen 127.0.0.1:9443 ssl http2;
        ssl_certificate .run/cert.pem;
        ssl_certificate_key .run/key.pem;

        location / {
            proxy_pass http://127.0.0.1:9090;
        }
    }
}
"""
PLAIN = CONF.replace("9443 ssl http2", "9080").replace("ssl_certificate", "# ssl_certificate")


@pytest.fixture
def here():
    try:
        nginx.find()
    except MissingDependencyError as missing:
        require(False, missing.what, missing.install)
    require(programs.find("openssl") is not None, "openssl", programs.install("openssl"))


def proxied(folder, text=CONF):
    """Step 01's offload with this nginx.conf before it."""
    (folder / "nginx.conf").write_text(text)
    step = manifest.find("01")
    return Stage(
        replace(step, variants=(replace(step.variant("offload"), proxy=str(folder / "nginx.conf")),)),
        "offload",
        placeholders=SMALL,
    )


def get(proxy, target):
    """Status and body of ``GET target`` over TLS; the certificate is checked."""
    trust = ssl.create_default_context(cafile=proxy.certificate)
    with closing(HTTPSConnection("127.0.0.1", proxy.port, timeout=TIMEOUT_S, context=trust)) as connection:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read()


# --- deciding: no process


def test_render_replaces_the_port_the_front_and_the_run_folder():
    text = nginx.render(CONF, Path("/tmp/lab-1"), 1234, 5678)  # noqa: S108 (a name, not a file)
    assert "listen 127.0.0.1:1234 ssl http2;" in text
    assert "proxy_pass http://127.0.0.1:5678;" in text
    assert "uwsgi_temp_path /tmp/lab-1/uwsgi;" in text
    assert ".run/" not in text


def test_render_leaves_what_only_looks_alike():
    text = CONF.replace("events {}", "events {}  # not /srv/.run/ nor my.run/, not 127.0.0.1:90900")
    assert "not /srv/.run/ nor my.run/, not 127.0.0.1:90900" in nginx.render(text, Path("/r"), 1, 2)


@pytest.mark.parametrize("listens", [0, 2])
def test_a_conf_without_exactly_one_loopback_listen_is_named(listens):
    line = "        listen 127.0.0.1:9443 ssl http2;\n"
    with pytest.raises(StartError, match=rf"has {listens} lines of the form `listen 127\.0\.0\.1:PORT`"):
        nginx.render(CONF.replace(line, line * listens), Path("/r"), 1, 2)


def test_a_missing_nginx_comes_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(nginx.programs, "find", lambda _: None)
    with pytest.raises(MissingDependencyError, match=re.escape(programs.install("nginx"))):
        nginx.find()


def test_an_nginx_that_is_too_old_is_named(monkeypatch, tmp_path):
    old = tmp_path / "nginx"
    old.write_text("#!/bin/sh\necho 'nginx version: nginx/1.18.0 (Ubuntu)' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(MissingDependencyError, match=r"nginx 1\.19\.5 or later \(found .*1\.18\.0"):
        nginx.find()


def test_a_missing_openssl_comes_with_the_command_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(nginx.programs, "find", lambda _: None)
    with pytest.raises(MissingDependencyError, match=re.escape(programs.install("openssl"))):
        nginx.make_certificate(tmp_path)


def test_a_manifest_that_names_a_conf_which_is_not_there_says_so():
    step = manifest.find("01")
    data = {"title": "t", "minutes": 1, "path": "/", "scenario": "download"}
    variant = {"inis": ["offload.ini"], "says": "s", "proxy": "nowhere.conf"}
    with pytest.raises(LabError, match=r"no such nginx\.conf: nowhere\.conf"):
        manifest.parse(step.folder, {**data, "variants": {"offload": variant}})


# --- a real nginx


@pytest.mark.usefixtures("here")
def test_a_stage_answers_at_both_addresses_and_leaves_nothing(tmp_path):
    with proxied(tmp_path) as stage:
        assert stage.proxy_url == f"https://127.0.0.1:{stage.proxy.port}"
        assert get(stage.proxy, "/ping")[0] == ping(stage.port, TIMEOUT_S).status == 200
        assert stage.url.endswith(f":{stage.port}")
        assert len(get(stage.proxy, "/file")[1]) == 2**20
        pids = [stage.proxy.pid, *stage.proxy.workers()]
        assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not stage.run.exists()


@pytest.mark.usefixtures("here")
def test_without_a_certificate_the_proxy_speaks_plain_http(tmp_path):
    with proxied(tmp_path, PLAIN) as stage:
        assert stage.proxy_url == f"http://127.0.0.1:{stage.proxy.port}"
        with closing(HTTPConnection("127.0.0.1", stage.proxy.port, timeout=TIMEOUT_S)) as connection:
            connection.request("GET", "/ping")
            assert connection.getresponse().headers["Server"].startswith("nginx")


@pytest.mark.usefixtures("here")
def test_what_nginx_makes_is_in_the_run_folder_and_for_our_user_only(tmp_path):
    with proxied(tmp_path) as stage:
        assert {"nginx.pid", "access.log", "cert.pem", "key.pem", "proxy"} <= {
            path.name for path in stage.run.iterdir()
        }
        assert stage.run.stat().st_mode & 0o077 == 0
        assert (stage.run / "key.pem").stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("here")
def test_a_reload_replaces_the_worker_and_the_proxy_goes_on(tmp_path):
    with proxied(tmp_path) as stage:
        before, master = stage.proxy.workers(), stage.proxy.pid
        stage.proxy.reload(Deadline(TIMEOUT_S))
        after = stage.proxy.workers()
        assert (len(after), set(after) & set(before), stage.proxy.pid) == (1, set(), master)
        assert get(stage.proxy, "/ping")[0] == 200


@pytest.mark.usefixtures("here")
def test_the_proxy_stops_and_starts_again_on_its_own(tmp_path):
    with proxied(tmp_path) as stage:
        stage.proxy.stop()
        with pytest.raises(ConnectionRefusedError):
            get(stage.proxy, "/ping")
        stage.proxy.start()
        stage.proxy.wait_ready(Deadline(TIMEOUT_S))
        assert get(stage.proxy, "/ping")[0] == 200


@pytest.mark.usefixtures("here")
def test_a_conf_that_nginx_refuses_is_reported_in_its_own_words(tmp_path):
    stage = proxied(tmp_path, CONF.replace("access_log", "acess_log"))
    with pytest.raises(ProcessDiedError, match='unknown directive "acess_log"'), stage:
        pass
    assert not stage.run.exists()


@pytest.mark.usefixtures("here")
def test_a_port_that_is_taken_is_named(tmp_path):
    with proxied(tmp_path, PLAIN) as stage:
        conf = tmp_path / "nginx.conf"
        with pytest.raises(PortInUseError, match=f"port {stage.port} "):
            nginx.Nginx(conf, stage.run, port=stage.port, front_port=stage.port).start()


@pytest.mark.usefixtures("here")
def test_nothing_outlives_a_killed_owner(tmp_path):
    code = (
        "import signal, sys\nfrom tests.integration.test_nginx import proxied\nfrom pathlib import Path\n"
        "with proxied(Path(sys.argv[1])) as s:\n"
        "    print(s.proxy.pid, *s.proxy.workers(), s.run, flush=True)\n    signal.pause()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as owner:
        *pids, run = owner.stdout.readline().split()
        owner.kill()
    wait_for(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids), TIMEOUT_S, "nginx ended")
    wait_for(lambda: not Path(run).exists(), TIMEOUT_S, "the run folder removed")
