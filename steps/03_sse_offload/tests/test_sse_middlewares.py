"""Django's middlewares that work on a response's body, with every offloading front: none of them touches the stream."""

import pytest

from offload_lab.process.deadlines import Deadline

from .conftest import FAST, OFFLOADING, STEP, LoggedInStage, altered, side_by_side, wanted

SETTINGS = """
from sseproject.settings import *


def measures(get_response):
    def middleware(request):
        response = get_response(request)
        response["Content-Length"] = str(len(response.content))
        response["Content-Encoding"] = "br"
        return response

    return middleware


def appends(get_response):
    def middleware(request):
        response = get_response(request)
        if response["Content-Type"].startswith("text/event-stream"):
            response.content += b"<!-- served in 3 ms -->"
        return response

    return middleware


first, *others = MIDDLEWARE
MIDDLEWARE = [first]
MIDDLEWARE += ["django.middleware.gzip.GZipMiddleware", "django.middleware.http.ConditionalGetMiddleware"]
MIDDLEWARE += ["touching.measures", "touching.appends", *others]
"""
WSGI = "from offload_lab.stages.site.wsgi import django_application\n\napplication = django_application('touching')\n"
READY_S = 30
ACCEPTS = [("Accept-Encoding", "gzip, br"), ("If-None-Match", "*")]


@pytest.fixture(scope="module")
def touched(request, tmp_path_factory):
    """The fronts with a Django in which four more middlewares stand behind the first."""

    def stage(front):
        folder = tmp_path_factory.mktemp("touching")
        (folder / "touching.py").write_text(SETTINGS)
        (folder / "wsgi.py").write_text(WSGI)
        lines = f"pythonpath = {folder}\nwsgi-file = {folder}/wsgi.py"
        step = altered(front, folder, (f"wsgi-file = {STEP.folder}/sseproject/wsgi.py", lines))
        return LoggedInStage(step, "altered", placeholders=FAST)

    with side_by_side({front: stage(front) for front in wanted(request, "front")}) as stages:
        yield stages


@pytest.fixture
def front(request, touched):
    return touched[request.param]


@pytest.mark.parametrize("front", OFFLOADING, indirect=True)
def test_no_middleware_touches_the_stream(front):
    with front.subscribe(headers=ACCEPTS) as ada:
        ada.next(), ada.next()
    assert ada.head.status == 200
    assert not {"Content-Length", "Content-Encoding", "ETag"} & {name for name, _ in ada.head.headers}
    assert ada.body.startswith(b"retry: 1000\nid: 1\nevent: ticket\n")
    assert b"served" not in ada.body


@pytest.mark.parametrize("front", ["header", "no_start_response"], indirect=True)
def test_no_middleware_touches_the_response_without_a_backend(front):
    front.backend.stop()
    try:
        with front.subscribe(headers=ACCEPTS) as ada:
            body = ada.read_all()
    finally:
        front.backend.start()
        front.backend.wait_ready(Deadline(READY_S))
    assert (ada.head.status, ada.head.get("Content-Encoding")) == (200, [])
    assert body.startswith(b"retry: ")
    assert body.endswith(b": the backend does not answer\n")
