"""wscat, on a terminal of its own, since only there it prints how a connection ended.

It does not come back: the loop does, half a second later, as step 04's page begins to.
"""

import os
import pty
import re
import subprocess
import time
from pathlib import Path

from contract import CERTIFICATE, COOKIE, each_in_a_thread, origin, say

WSCAT = Path(os.environ["LAB_NODE"]) / "node_modules" / ".bin" / "wscat"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r|^> ")
RETRY_S = 0.5


def lines(terminal):
    """What appears on it, without what only moves the cursor, until nobody writes there any more."""
    text = ""
    while True:
        try:
            text += os.read(terminal, 65536).decode(errors="replace")
        except OSError:
            return
        *complete, text = text.split("\n")
        for line in complete:
            yield CONTROL.sub("", CONTROL.sub("", line))


def follow(at, protocol, url):
    command = [WSCAT, "--no-color", "--connect", url, "--origin", origin(url), "--header", f"Cookie: {COOKIE}"]
    if url.startswith("wss:"):
        command += ["--ca", CERTIFICATE]
    while True:
        terminal, end = pty.openpty()
        with subprocess.Popen(command, stdin=end, stdout=end, stderr=end):
            os.close(end)
            for line in lines(terminal):
                tell(at, line)
        os.close(terminal)
        time.sleep(RETRY_S)


def tell(at, line):
    if line.startswith("Connected"):
        say(at, "open")
    elif line.startswith("< "):
        say(at, "event", data=line[2:])
    elif line.startswith("error: "):
        say(at, "failed", why=line)
    elif ended := re.match(r"Disconnected \(code: (\d+)", line):
        say(at, "closed", code=int(ended[1]))


each_in_a_thread(follow)
