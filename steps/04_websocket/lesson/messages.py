"""The messages that the board sends to its clients."""

import json

from offload_lab.clients.raw import Received
from offload_lab.clients.websocket import TEXT


def texts(received: Received) -> list[tuple[str, str]]:
    """User and text of each chat message that arrived."""
    messages = [json.loads(frame.payload) for frame in received.frames if frame.opcode == TEXT]
    return [(message["user"], message["text"]) for message in messages if "text" in message]
