"""Front: authorises a client only while the backend answers. On a real site Django does so."""

from reconnect_later import reconnect_later

from offload_lab.stages.site import run_folder, with_ping
from offload_lab.stages.site.backend import is_ready

BACKEND = f"uwsgi:{run_folder()}/sse.sock"


@with_ping
def application(environ, start_response):
    if not is_ready(BACKEND):
        return reconnect_later(start_response, "the backend does not answer")
    start_response("200 OK", [("X-Offload-to-SSE", "ada")])
    return []
