"""Starts several processes of a server that has no option for it, all on one listening socket.

``python -m bench.site.several PORT COUNT COMMAND…``; ``FD`` in the command becomes the socket's descriptor.
"""

import signal
import socket
import subprocess
import sys


def main(port: int, count: int, command: list[str]) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with socket.create_server(("127.0.0.1", port), backlog=4096) as listener:
        fd = listener.fileno()
        filled = [word.replace("FD", str(fd)) for word in command]
        children = [subprocess.Popen(filled, pass_fds=[fd]) for _ in range(count)]
        try:
            for child in children:
                child.wait()
        finally:
            for child in children:
                child.terminate()
            for child in children:
                child.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
