"""The answer that turns an HTTP request into a WebSocket (RFC 6455, section 4.2.2)."""

import base64
import hashlib

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # the RFC's constant


def accept_key(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode(), usedforsecurity=False).digest()).decode()


def switch_protocols(environ, start_response):
    """Answer 101. Django has checked the request; the frames that follow are the caller's."""
    write = start_response(
        "101 Switching Protocols",
        [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept_key(environ["HTTP_SEC_WEBSOCKET_KEY"])),
        ],
    )
    write(b"")  # uWSGI holds headers back until there is a body; an empty one sends them
