"""In front: before a client is offloaded, ask whether the backend is there. In a real site Django does it so."""

from not_now import not_now

from offload_lab.stages.site import run_folder, with_ping
from offload_lab.stages.site.backend import is_ready

BACKEND = f"uwsgi:{run_folder()}/sse.sock"


@with_ping
def application(environ, start_response):
    if not is_ready(BACKEND):
        return not_now(start_response, "the backend does not answer")
    start_response("200 OK", [("X-Offload-to-SSE", "ada")])
    return []
