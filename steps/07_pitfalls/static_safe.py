"""Leaves the check to static-safe, and sends any file that a client names."""

from urllib.parse import parse_qs

from offload_lab.stages.site import make_file, run_folder, with_ping

SERVED = run_folder() / "served"
make_file(SERVED / "big.bin", mib=1)


@with_ping
def application(environ, start_response):
    [name] = parse_qs(environ["QUERY_STRING"]).get("name", ["big.bin"])
    start_response("200 OK", [("X-Sendfile", str(SERVED / name))])  # an absolute name replaces SERVED
    return []
