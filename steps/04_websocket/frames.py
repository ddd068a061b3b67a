"""Finds the client's Close frame in what it sends, whatever precedes it (RFC 6455, section 5.2).

A parser stops at the first broken rule. The length in each frame's header still tells where the next frame begins.
"""

CLOSE = 0x8


class CloseFinder:
    """Takes all of a client's bytes in; `found` once its Close frame was complete. Keeps no payload."""

    def __init__(self) -> None:
        self._header = bytearray()  # of a frame that has only begun
        self._payload_left = 0
        self._is_close = False

    @property
    def found(self) -> bool:
        return self._is_close and not self._payload_left

    def feed(self, data: bytes) -> None:
        skipped = min(self._payload_left, len(data))
        self._payload_left -= skipped
        self._header += data[skipped:]
        while not (self._is_close or self._payload_left) and (length := frame_length(self._header)):
            self._is_close = self._header[0] & 0x0F == CLOSE
            self._payload_left = max(length - len(self._header), 0)
            del self._header[:length]


def frame_length(data: bytes | bytearray) -> int:
    """The length in bytes of the frame that `data` begins with; 0 while its header is incomplete."""
    if len(data) < 2:
        return 0
    is_masked, short = data[1] >> 7, data[1] & 0x7F
    start = 2 + {126: 2, 127: 8}.get(short, 0)
    if len(data) < start:
        return 0
    return start + 4 * is_masked + (int.from_bytes(data[2:start]) if start > 2 else short)
