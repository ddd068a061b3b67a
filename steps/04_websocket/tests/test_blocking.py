"""Without offload threads one client blocks Django for all others, and is not connected either."""

import select
import socket
from contextlib import closing

import psutil
import pytest

from offload_lab.clients.websocket import upgrade_request
from offload_lab.process.polling import wait_for
from offload_lab.timeouts import scaled

from .conftest import Board


def ask(stage, request: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", stage.port), timeout=scaled(30))
    connection.sendall(request)
    return connection


def state(stage, client_port: int) -> str:
    """Of the worker's end of that client's connection, as the kernel has it."""
    connections = psutil.Process(stage.workers()[0].pid).net_connections("tcp")
    return next(
        (connection.status for connection in connections if connection.raddr and connection.raddr.port == client_port),
        "none",
    )


@pytest.mark.core
def test_one_client_blocks_django_until_the_backend_ends():
    with Board("blocking") as stage:
        client = ask(stage, upgrade_request(stage.port, "/ws", {"Cookie": stage.ada}))
        port = client.getsockname()[1]
        wait_for(lambda: state(stage, port) == "ESTABLISHED", 30, "the worker accepts the client")
        with closing(ask(stage, b"GET /ping HTTP/1.0\r\n\r\n")) as bystander:
            client.close()
            wait_for(lambda: state(stage, port) == "CLOSE_WAIT", 30, "the kernel tells it that the client left")
            wait_for(lambda: stage.workers()[0].busy, 30, "the worker busy with its client")
            assert not select.select([bystander], [], [], 0)[0]
            stage.process("ws").stop()
            assert bystander.recv(1000).startswith(b"HTTP/1.0 200 OK")
