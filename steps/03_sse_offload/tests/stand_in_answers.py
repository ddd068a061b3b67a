"""Stands in for Django in the tests of the fronts' lines alone: answers with the status that cookie or path name."""

import time

from offload_lab.stages.site import run_folder, with_ping

YES = [("Content-Type", "text/event-stream"), ("X-Offload-to-SSE", "ada"), ("X-Django", "was here")]


class Slow:
    """An empty body, whose close() waits for a file called "go"."""

    def __iter__(self):
        yield b""

    def close(self):
        while not (run_folder() / "go").exists():
            time.sleep(0.01)


@with_ping
def application(environ, start_response):
    answer = environ.get("HTTP_COOKIE") or environ["PATH_INFO"].strip("/")
    if answer in ("yes", "slow"):
        start_response("200 OK", YES)
        return [b""] if answer == "yes" else Slow()
    bare = answer in ("204", "304")  # these have neither a body nor a type
    start_response(f"{answer} As Asked", [] if bare else [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [] if bare else [b"no\n"]
