"""The whole file in the worker's memory, then into the socket piece by piece, by the worker itself."""

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
    with BIG.open("rb") as file:
        yield file.read()  # 4 GiB of memory for a file of 4 GiB, until the client has all of it
