"""What a check says of an answer without a process: by the text of an INI, and by the text of a log."""

import pytest

from offload_lab.exercises import regions, workspace
from offload_lab.exercises.check import check
from offload_lab.exercises.ini_causes import ini_causes
from offload_lab.exercises.log_causes import log_causes
from offload_lab.exercises.sandbox import sandbox
from offload_lab.stages import manifest

HANDOVER = "pull-header = X-Offload-to-SSE X_OFFLOAD\nresponse-route-if-not = {}"
TRACEBACK = """\
Traceback (most recent call last):
  File "/copy/steps/02/xsendfile.py", line 42, in allowed
    raise PermissionError(name)
PermissionError: link
[pid: 1|app: 0|req: 1/1] 127.0.0.1 () {24 vars in 252 bytes} GET /file => generated 0 bytes
"""


@pytest.mark.parametrize(
    ("step", "task", "answer", "says"),
    [
        ("01", "offload_threads", "offload_threads = 1", "no option offload_threads; there is offload-threads"),
        ("01", "offload_threads", "offload-threads: 1", "'offload-threads: 1' is one name"),
        ("01", "offload_threads", "offload-threads = one", "'one' is no number, and uWSGI reads it as 0"),
        (
            "01",
            "offload_threads",
            "[offload]\noffload-threads = 1\n[uwsgi]",
            "is in the section [offload]: uWSGI reads [uwsgi] only",
        ),
        ("01", "offload_threads", "[uwsg]\noffload-threads = 1", "in the section [uwsg], and so do the "),
        (
            "02",
            "pull_header",
            "pull-header = X-Sendfile X_SENDFILE ; keep it",
            "the value is 'X-Sendfile X_SENDFILE ; keep it'",
        ),
        (
            "02",
            "pull_header",
            "del-header = x-sendfile\npull-header = X-Sendfile X_SENDFILE",
            "deletes the app's header x-sendfile",
        ),
        ("02", "pull_header", "pull-header = X-Sendfile,X_SENDFILE", "wants HEADER VARIABLE"),
        (
            "02",
            "route",
            "response-route-if-not = empty:$X_SENDFILE static:$X_SENDFILE",
            "$X_SENDFILE is text, no variable",
        ),
        ("03", "greenlets", "gevent-monkey-patching = true", "there is gevent-monkey-patch"),
        ("03", "greenlets", "gevent = 100\nthreads = 2", "threads together with gevent (sse.ini)"),
        (
            "03",
            "offload",
            HANDOVER.format("empty:$X_OFFLOAD uwsgi:%(run)/sse.sock,0,0"),
            "$X_OFFLOAD is text, no variable",
        ),
        (
            "03",
            "offload",
            HANDOVER.format("empty:${X_OFFLOAD} uwsgi:%(run)/sse.sock"),
            "wants an address and two modifiers",
        ),
        (
            "03",
            "offload",
            HANDOVER.format("empty:${X_OFFLOAD} http:%(run)/sse.sock"),
            "speaks http to .run/sse.sock, which wants uwsgi",
        ),
        ("03", "offload", HANDOVER.format("empty:${X_OFFLOAD} disableheader:"), "write disableheaders:"),
        ("06", "cache", "sockets = %(run)/cache.sock", "there is socket"),
    ],
)
def test_a_mistake_in_the_text_of_an_ini_is_found(step, task, answer, says):
    found = manifest.find(step)
    with sandbox(found, answers={task: answer}) as copy:
        causes = ini_causes(copy, copy.task(task))
    assert [says in cause.sentence for cause in causes] == [True], causes
    assert str(copy.folder) not in causes[0].sentence


@pytest.mark.parametrize("step", [step.name for step in manifest.steps() if step.tasks])
def test_solutions_and_blanks_have_no_mistake_in_their_text(step):
    found = manifest.find(step)
    for task in found.tasks:
        assert ini_causes(found, task) == []
        with sandbox(found, answers={task.name: task.blank}) as copy:
            assert ini_causes(copy, copy.task(task.name)) == []


def test_no_process_is_started_for_a_mistake_in_the_text(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_WORK", str(tmp_path))
    monkeypatch.setattr("offload_lab.exercises.check.try_out", None)
    step = manifest.find("01")
    ini = workspace.start(step, solved=True)[0] / "offload.ini"
    ini.write_text(regions.fill(ini.read_text(), {"offload_threads": "offload_threads = 1"}))
    [verdict] = check(step, step.task("offload_threads"))
    assert (verdict.outcome, verdict.started) == ("failed", False)
    assert "offload_threads" in verdict.lines[0]


@pytest.mark.parametrize(
    ("log", "id", "says"),
    [
        (TRACEBACK, "exception", "in xsendfile.py, at 'raise PermissionError(name)': PermissionError: link"),
        (TRACEBACK.replace("/copy", "/usr"), "exception", "has an exception: PermissionError: link"),
        (
            "TypeError: 'NoneType' object is not iterable\n",
            "no_iterable",
            "returned None, as a function without a return does",
        ),
        ("TypeError: 'int' object is not iterable\n", "no_iterable", "returned an object of type int"),
        ("[ERROR] Unhandled object from iterator: 'no' (0x7f17)\n", "no_bytes", "gave uWSGI 'no' to send"),
    ],
)
def test_an_apps_error_is_found_in_the_log(log, id, says):
    [cause] = log_causes("xsendfile.ini", log, "/copy/steps/02")
    assert cause.id == id
    assert says in cause.sentence


@pytest.mark.parametrize(
    "log",
    [
        "",
        "*** Operational MODE: single process ***\n",
        TRACEBACK.replace("PermissionError: link", "OSError: write error"),
    ],
)
def test_no_error_is_found_in_the_log_of_a_right_app(log):
    assert list(log_causes("xsendfile.ini", log, "/copy/steps/02")) == []
