"""What a WebSocket server owes its clients, case by case: what is sent, what must come back, how it must end.

The numbers are those of the Autobahn test suite (crossbario/autobahn-testsuite), which the field measures itself by.
Its servers echo; the board sends every message to all clients, the sender included, so the same can be seen. Where
the board by design differs from an echo server the suite's case stands here with what RFC 6455 asks of the board: it
speaks text only (1003 for binary, section 7.4.1) and takes 64 Ki characters (1009). Left out: 9.7 and 9.8, which only
measure time, and 12 and 13, since compression is never negotiated.
"""

from dataclasses import dataclass, replace

from offload_lab.clients.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_frame, frame

PROTOCOL_ERROR, TEXT_ONLY, NO_CODE, NOT_UTF8, TOO_BIG = 1002, 1003, 1005, 1007, 1009

Heard = str | bytes  # a text message of ours, the payload of a pong


@dataclass(frozen=True)
class Case:
    """`sends` are separate writes; after them the client closes with code 1000, unless it `hangs` and only waits.

    The server's closing code is `fails` where that is set, and else the client's own, `closes`.
    """

    number: str
    sends: tuple[bytes, ...]
    hears: tuple[Heard, ...] = ()
    fails: int | None = None
    closes: int = 1000
    hangs: bool = False
    rest: bytes = b""  # of an unfinished frame, which the client has to complete before it can answer a Close frame

    @property
    def answers_close(self) -> bool:
        """Whether the server's Close frame comes first. Group 7 sends its own."""
        return self.hangs and not self.number.startswith("7.")


def text(payload: str | bytes, **options) -> bytes:
    return frame(TEXT, payload.encode() if isinstance(payload, str) else payload, **options)


def more(payload: str | bytes, **options) -> bytes:
    return frame(CONTINUATION, payload.encode() if isinstance(payload, str) else payload, **options)


def chopped(data: bytes, size: int = 1) -> tuple[bytes, ...]:
    return tuple(data[start : start + size] for start in range(0, len(data), size))


def fragments(payload: bytes, size: int = 1) -> tuple[bytes, ...]:
    """One message, a frame for each `size` bytes."""
    pieces = chopped(payload, size)
    last = len(pieces) - 1
    return tuple(frame(CONTINUATION if i else TEXT, piece, final=i == last) for i, piece in enumerate(pieces))


def framing() -> list[Case]:
    sizes = [0, 125, 126, 127, 128, 65535, 65536]
    cases = [Case(f"1.1.{i}", (text("*" * size),), ("*" * size,)) for i, size in enumerate(sizes, 1)]
    cases += [Case("1.1.8", chopped(text("*" * 65536), 997), ("*" * 65536,))]
    cases += [Case(f"1.2.{i}", (frame(BINARY, b"\xfe" * n),), fails=TEXT_ONLY) for i, n in enumerate(sizes, 1)]
    return [*cases, Case("1.2.8", chopped(frame(BINARY, b"\xfe" * 65536), 997), fails=TEXT_ONLY)]


def pings() -> list[Case]:
    blob, ten = b"\xfe" * 125, tuple(b"payload-%d" % i for i in range(10))
    ten_pings = b"".join(frame(PING, payload) for payload in ten)
    return [
        Case("2.1", (frame(PING),), (b"",)),
        Case("2.2", (frame(PING, b"Hello, world!"),), (b"Hello, world!",)),
        Case("2.3", (frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),), (b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff",)),
        Case("2.4", (frame(PING, blob),), (blob,)),
        Case("2.5", (frame(PING, blob + b"\xfe"),), fails=PROTOCOL_ERROR),
        Case("2.6", chopped(frame(PING, blob)), (blob,)),
        Case("2.7", (frame(PONG),)),
        Case("2.8", (frame(PONG, b"unsolicited"),)),
        Case("2.9", (frame(PONG, b"unsolicited"), frame(PING, b"asked")), (b"asked",)),
        Case("2.10", (ten_pings,), ten),
        Case("2.11", chopped(ten_pings), ten),
    ]


def reserved_bits() -> list[Case]:
    def after_hello(bits: int) -> tuple[bytes, ...]:
        return text("Hello"), text("Hello", reserved=bits), frame(PING)

    return [
        Case("3.1", (text("Hello", reserved=1),), fails=PROTOCOL_ERROR),
        Case("3.2", (b"".join(after_hello(2)),), ("Hello",), PROTOCOL_ERROR),
        Case("3.3", after_hello(3), ("Hello",), PROTOCOL_ERROR),
        Case("3.4", chopped(b"".join(after_hello(4))), ("Hello",), PROTOCOL_ERROR),
        Case("3.5", (frame(BINARY, b"\xff" * 8, reserved=5),), fails=PROTOCOL_ERROR),
        Case("3.6", (frame(PING, b"Hello", reserved=6),), fails=PROTOCOL_ERROR),
        Case("3.7", (frame(CLOSE, reserved=7),), fails=PROTOCOL_ERROR),
    ]


def opcodes() -> list[Case]:
    cases = []
    for group, first in (("4.1", 3), ("4.2", 11)):
        for i in range(1, 6):
            strange = frame(first + i - 1, b"Hello" if i in (2, 4, 5) else b"")
            if i < 3:
                cases.append(Case(f"{group}.{i}", (strange,), fails=PROTOCOL_ERROR))
            else:
                cases.append(Case(f"{group}.{i}", (text("Hello"), strange, frame(PING)), ("Hello",), PROTOCOL_ERROR))
    return cases


def fragmentation() -> list[Case]:
    whole, ping = ("fragment1fragment2",), frame(PING, b"in between")
    first, second = text("fragment1", final=False), more("fragment2")
    five = [text("fragment1", final=False), *(more(f"fragment{i}", final=i == 5) for i in range(2, 6))]
    mixed = (*five[:2], frame(PING, b"1"), *five[2:4], frame(PING, b"2"), five[4])
    mixed_heard = (b"1", b"2", "fragment1fragment2fragment3fragment4fragment5")
    cases = [
        Case("5.1", (frame(PING, b"frag", final=False), more("ment")), fails=PROTOCOL_ERROR),
        Case("5.2", (frame(PONG, b"frag", final=False), more("ment")), fails=PROTOCOL_ERROR),
        Case("5.3", (first + second,), whole),
        Case("5.4", (first, second), whole),
        Case("5.5", chopped(first + second), whole),
        Case("5.6", (first + ping + second,), (b"in between", *whole)),
        Case("5.7", (first, ping, second), (b"in between", *whole)),
        Case("5.8", chopped(first + ping + second), (b"in between", *whole)),
    ]
    for number, final in ((9, True), (12, False)):  # nothing to continue
        stray = more("stray", final=final), text("Hello")
        sends = (b"".join(stray),), stray, chopped(b"".join(stray))
        cases += [Case(f"5.{number + i}", sent, fails=PROTOCOL_ERROR) for i, sent in enumerate(sends)]
    return [
        *cases,
        Case("5.15", (first + second + more("stray", final=False) + text("Hello"),), whole, PROTOCOL_ERROR),
        Case("5.16", (more("stray", final=False), first, second) * 2, fails=PROTOCOL_ERROR),
        Case("5.17", (more("stray"), first, second) * 2, fails=PROTOCOL_ERROR),
        Case("5.18", (first + text("fragment2"),), fails=PROTOCOL_ERROR),
        Case("5.19", (b"".join(mixed),), mixed_heard),
        Case("5.20", mixed, mixed_heard),
    ]


def closing() -> list[Case]:
    """The client closes in its own way, and so nothing is added to what it sends."""
    bye, bad = close_frame(1000), PROTOCOL_ERROR
    allowed = [1000, 1001, 1002, 1003, *range(1007, 1012), 3000, 3999, 4000, 4999]
    forbidden = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999]
    cases = [
        Case("7.1.1", (text("Hello") + bye,), ("Hello",)),
        Case("7.1.2", (bye + bye,)),
        Case("7.1.3", (bye + frame(PING),)),
        Case("7.1.4", (bye + text("Hello"),)),
        Case("7.1.5", (text("frag", final=False) + bye + more("ment"),)),
        Case("7.1.6", (text("*" * 2**18) + bye + frame(PING),), fails=TOO_BIG),
        Case("7.3.1", (frame(CLOSE),), closes=NO_CODE),
        Case("7.3.2", (frame(CLOSE, b"a"),), fails=bad),
        Case("7.3.3", (bye,)),
        Case("7.3.4", (close_frame(1000, b"Hello"),)),
        Case("7.3.5", (close_frame(1000, b"*" * 123),)),
        Case("7.3.6", (close_frame(1000, b"*" * 124),), fails=bad),
        Case("7.5.1", (close_frame(1000, b"\xce\xba\xed\xa0\x80"),), fails=NOT_UTF8),
        *(Case(f"7.7.{i}", (close_frame(code),), closes=code) for i, code in enumerate(allowed, 1)),
        *(Case(f"7.9.{i}", (close_frame(code),), fails=bad) for i, code in enumerate(forbidden, 1)),
        Case("7.13.1", (close_frame(5000),), fails=bad),
        Case("7.13.2", (close_frame(65535),), fails=bad),
    ]
    return [replace(case, hangs=True) for case in cases]


def limits() -> list[Case]:
    big = "*" * 2**20
    return [
        Case("9.1.1", (text("*" * 2**16),), ("*" * 2**16,)),
        Case("9.1.2", (text("*" * 2**18),), fails=TOO_BIG),
        Case("9.1.3", (text(big),), fails=TOO_BIG),
        Case("9.2.1", (frame(BINARY, b"\xfe" * 2**16),), fails=TEXT_ONLY),
        Case("9.3.5", fragments(big.encode(), 2**14), fails=TOO_BIG),
        Case("9.5.6", chopped(text(big), 2048), fails=TOO_BIG),
    ]
