"""Returns the open file to the server: uWSGI sends it with sendfile(2), a piece at a time, in constant memory."""

from offload_lab.stages.site import make_file, run_folder, with_ping
from offload_lab.stages.site.arguments import argument

BIG = make_file(run_folder() / "big.bin", mib=int(argument("mib")))


@with_ping
def application(environ, start_response):
    headers = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Length", str(BIG.stat().st_size)),
    ]
    start_response("200 OK", headers)
    # >>> file_wrapper
    return environ["wsgi.file_wrapper"](BIG.open("rb"))
    # <<<
