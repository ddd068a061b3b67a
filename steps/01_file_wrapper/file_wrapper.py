"""The open file goes to the server: uWSGI sends it with sendfile(2), a piece at a time, in constant memory."""

import sys

from offload_lab.stages.site import make_file, run_folder, with_ping

BIG = make_file(run_folder() / "big.bin", mib=int(sys.argv[2]))


@with_ping
def application(environ, start_response):
    start_response(
        "200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(BIG.stat().st_size))]
    )
    # >>> handover
    return environ["wsgi.file_wrapper"](BIG.open("rb"))
    # <<<
