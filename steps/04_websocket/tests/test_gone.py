"""Clients who are gone without a word are noticed by a ping; those who answer stay."""

import os
import signal
import subprocess
import sys

from offload_lab.clients.websocket import PONG, frame
from offload_lab.timeouts import scaled

from .conftest import Board, next_news

LAPTOP = """
import sys
from offload_lab.clients.websocket import PING, PONG, WebSocketClient, frame

with WebSocketClient(int(sys.argv[1]), headers={"Cookie": sys.argv[2]}) as client:
    while (said := client.receive()) is not None:
        if said.opcode == PING:
            client.send(frame(PONG, said.payload))
            print("answered a ping", flush=True)
"""


def clients(client) -> int:
    """How many the clock counts; asking is a sign of life by itself."""
    client.send(frame(PONG))
    return next_news(client, "clients")["clients"]


def test_a_closed_laptop_is_dropped_and_an_open_one_is_not():
    with Board("offload", ping_s=scaled(2)) as stage:  # who answers has that long
        command = [sys.executable, "-c", LAPTOP, str(stage.port), stage.ada]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as laptop:
            try:
                for _ in range(2):  # each time it is about to be dropped, and is not
                    assert laptop.stdout.readline() == "answered a ping\n"
                with stage.connect(stage.grace) as grace:
                    while clients(grace) != 2:
                        pass
                    os.kill(laptop.pid, signal.SIGSTOP)
                    while clients(grace) != 1:
                        pass
                assert "ada: dropped, no answer to a ping" in stage.process("ws").log_tail()
            finally:
                laptop.kill()
