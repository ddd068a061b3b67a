"""What the notebook about pitfalls says of each cause once the learner has named one, and the lines that fix it."""

from offload_lab import notebook
from offload_lab.notebook import answers
from offload_lab.notebook.display import show_bundle

STEP = "07_pitfalls"

# by the number of the case
EXPLANATIONS = {
    1: """
Nothing was offloaded, the worker is busy, and no thread waits for the client: the worker is reading from the
backend, by itself. The routes that offload are there, the threads to offload *to* are not, and uWSGI does not
complain. After `disableheaders:` it may send no response headers, so it sends nothing at all, and it does not even
learn when the client leaves.
""",
    2: """
It was offloaded, bytes went over the wire, and there were *two* sets of response headers, each with a status line.
Django's answer has its own, the backend sends another, and which comes first is a race. The browser believes the
first. If that is Django's, as it mostly is, it announces a body of 0 bytes.
""",
    3: """
The log has one request, and it was offloaded. Django's own answer to it is a 304, *not modified*, and that carries
no `Content-Type`. The front collects this header into a variable and tests that; when Django sends none, the
variable keeps what was in it before. And `CONTENT_TYPE` is where the *request's* own header stands.
""",
    4: """
The front offloads every request whose offload header has a name in it. The view writes `request.user` there. For an
anonymous client Django has an object as well, and as a header it becomes text. Nothing in the configuration is
wrong; this is the view, and beneath it the fixed one:
""",
    5: """
One set of headers, so one connection; and many more events than distinct ones. Compare the two numbers: with *n*
distinct events, *n·(n + 1)/2* arrive. Twice as long, four times as much. The library collects messages, `str()`
reads them, and only iterating takes them out:
""",
    6: """
The connection is closed already, and nothing was offloaded: before the request, the backend was stopped. But look
at the status in the log. It is that of the app's answer, which was held back, and the client never saw it.

The fix is not in the front's routes. Once the app in front has authorised and its headers are dropped, no answer
can be sent any more. So the app has to check the backend *before*:
""",
}


def show_cause(case: int) -> None:
    """The explanation of a case and its fix, unless the learner has named no cause yet."""
    if answers.hides("the cause and its fix", code=True):
        return
    show_bundle({"text/markdown": EXPLANATIONS[case], "text/plain": EXPLANATIONS[case]})
    show_fix(case)


def show_fix(case: int) -> None:
    """The lines in which the broken and the fixed variant differ, or both functions."""
    match case:
        case 1:
            notebook.show_diff(STEP, "no_offload_threads_broken.ini", "no_offload_threads_fixed.ini")
        case 2:
            notebook.show_diff(STEP, "headers_twice_broken.ini", "headers_twice_fixed.ini")
        case 3:
            notebook.show_diff(STEP, "content_type_bypass_broken.ini", "content_type_bypass_fixed.ini")
        case 4:
            notebook.show_code(STEP, "pitfallproject/views.py", "unchecked")
            notebook.show_code("03_sse_offload", "sseproject/offload.py", "subscribe")
        case 5:
            notebook.show_code(STEP, "sse_never_flushes.py", "broken")
            notebook.show_code(STEP, "sse_never_flushes.py", "fixed")
        case 6:
            notebook.show_code(STEP, "backend_down.py", "application")
