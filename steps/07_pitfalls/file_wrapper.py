"""Responses that are no whole file on a disk, given to wsgi.file_wrapper, and what to return instead. One path each."""

import gzip
import subprocess
from io import StringIO

from offload_lab.stages.site import make_file, run_folder, with_ping

REPORT = "departs on time\n"
FILE = make_file(run_folder() / "big.bin", mib=32)
PACKED = run_folder() / "packed.gz"
PACKED.write_bytes(gzip.compress(REPORT.encode()))
LAST_EIGHT = FILE.stat().st_size - 8
CHUNK = 64 * 1024


def at(position):
    file = FILE.open("rb")
    file.seek(position)
    return file


def from_a_command():
    return subprocess.Popen(["echo", REPORT.strip()], stdout=subprocess.PIPE).stdout


def chunks(file):
    """What `file` reads. The worker sends it, a chunk at a time: for an offload thread it would have to be a file."""
    with file:
        yield from iter(lambda: file.read(CHUNK), b"")


class Closing:
    """As middlewares that measure wrap every response, to learn when it ends (getsentry/sentry-python #5556)."""

    def __init__(self, response):
        self.response = response

    def __iter__(self):
        return iter(self.response)

    def close(self):
        print("response ended")
        if hasattr(self.response, "close"):
            self.response.close()


def answer(environ, start_response, *headers):
    start_response("200 OK", [("Content-Type", "application/octet-stream"), *headers])
    return environ["wsgi.file_wrapper"]


@with_ping
def broken(environ, start_response):
    send = answer(environ, start_response)
    match environ["PATH_INFO"]:
        case "/text":
            return send(StringIO(REPORT), CHUNK)  # str is no bytes: uWSGI sends nothing, and never sees the end
        case "/seek":
            return send(at(LAST_EIGHT), CHUNK)  # uWSGI takes the descriptor, and begins at byte 0
        case "/pipe":
            return send(from_a_command(), CHUNK)  # uWSGI sends as many bytes as the file is long: a pipe has no length
        case "/packed":
            return send(gzip.open(PACKED), CHUNK)  # its descriptor is the packed file's
    return Closing(send(FILE.open("rb"), CHUNK))  # no longer what file_wrapper returned: Python reads, the worker sends


@with_ping
def fixed(environ, start_response):
    match environ["PATH_INFO"]:
        case "/text":
            answer(environ, start_response)
            return [REPORT.encode()]
        case "/seek":
            answer(environ, start_response)
            return chunks(at(LAST_EIGHT))
        case "/pipe":
            answer(environ, start_response)
            return chunks(from_a_command())
        case "/packed":  # clients unpack by themselves, and an offload thread can send it
            return answer(environ, start_response, ("Content-Encoding", "gzip"))(PACKED.open("rb"), CHUNK)
    return measured(answer(environ, start_response)(FILE.open("rb"), CHUNK))


def measured(response):
    """A middleware that leaves a file alone: file_wrapper returns the file itself."""
    return response if hasattr(response, "read") else Closing(response)
