"""The UTF-8 part of the conformance table, 6.1 to 6.23: the sequences of Markus Kuhn's well-known stress test."""

from itertools import pairwise

from .conformance import NOT_UTF8, Case, fragments, more, text

KOSME = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"  # two bytes, three, two, two, two
GOOD, BAD_PART, REST = KOSME, b"\xf4\x90\x80\x80", b"edited"
SURROGATE = KOSME + b"\xed\xa0\x80" + b"edited"

# group: (sequence, ...); what is good and what is not is written down here, not asked of a decoder
VALID = {
    "6.5": (b"hello$world", b"hello\xc2\xa2world", b"hello\xe2\x82\xacworld", b"hello\xf0\xa4\xad\xa2world", KOSME),
    "6.7": (b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"),
    "6.9": (b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"),
    "6.22": (
        b"\xef\xbf\xbe",
        b"\xef\xbf\xbf",
        *(
            bytes([first, second, 0xBF, third])
            for first, second in [
                *((0xF0, second) for second in (0x9F, 0xAF, 0xBF)),
                *((first, second) for first in (0xF1, 0xF2, 0xF3) for second in (0x8F, 0x9F, 0xAF, 0xBF)),
                (0xF4, 0x8F),
            ]
            for third in (0xBE, 0xBF)
        ),
    ),
    "6.23": tuple(b"\xef\xbf" + bytes([last]) for last in (0xB9, 0xBA, 0xBB, 0xBC, 0xBD, 0xBE, 0xBF)),
}
CUT_SHORT = (
    *(b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80"),
    *(b"\xdf", b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf"),
)
HIGH, LOW = (b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf"), (b"\xed\xb0\x80", b"\xed\xbf\xbf")
INVALID = {
    "6.8": (b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"),
    "6.10": (b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"),
    "6.12": (b"\x80", b"\xbf", *((b"\x80\xbf" * 3)[:n] for n in range(2, 7)), bytes(range(0x80, 0xBF))),
    "6.13": tuple(
        b"".join(bytes([start, 0x20]) for start in range(low, high))
        for low, high in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
    ),
    "6.14": CUT_SHORT,
    "6.15": (b"".join(CUT_SHORT),),
    "6.16": (b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"),
    "6.17": (
        *(b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"),
    ),
    "6.18": (
        *(b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"),
    ),
    "6.19": (
        *(b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"),
    ),
    "6.20": (*HIGH, b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf"),
    "6.21": tuple(high + low for high in HIGH for low in LOW),
}
# groups that hold both
PREFIXES_OF_KOSME = {2: True, 5: True, 7: True, 9: True, 11: True}  # where a character ends
BOUNDARIES = ((b"\xed\x9f\xbf", True), (b"\xee\x80\x80", True), (b"\xef\xbf\xbd", True), (b"\xf4\x8f\xbf\xbf", True))


def case(number: str, payload: bytes, valid: bool) -> Case:
    return (
        Case(number, (text(payload),), (payload.decode(),)) if valid else Case(number, (text(payload),), fails=NOT_UTF8)
    )


def utf8() -> list[Case]:
    hello = "Hello-µ@ßöäüàá-UTF-8!!"
    return [
        Case("6.1.1", (text(""),), ("",)),
        Case("6.1.2", (text("", final=False), more("", final=False), more("")), ("",)),
        Case("6.1.3", (text("", final=False), more("middle", final=False), more("")), ("middle",)),
        Case("6.2.1", (text(hello),), (hello,)),
        Case("6.2.2", (text(hello[:11], final=False), more(hello[11:])), (hello,)),
        Case("6.2.3", fragments(hello.encode()), (hello,)),
        Case("6.2.4", fragments(KOSME), (KOSME.decode(),)),
        Case("6.3.1", (text(SURROGATE),), fails=NOT_UTF8),
        Case("6.3.2", fragments(SURROGATE), fails=NOT_UTF8),
        *fail_fast(),
        *(case(f"{group}.{i}", row, True) for group, rows in VALID.items() for i, row in enumerate(rows, 1)),
        *(case(f"{group}.{i}", row, False) for group, rows in INVALID.items() for i, row in enumerate(rows, 1)),
        *(case(f"6.6.{n}", KOSME[:n], n in PREFIXES_OF_KOSME) for n in range(1, len(KOSME) + 1)),
        *(case(f"6.11.{i}", row, valid) for i, (row, valid) in enumerate((*BOUNDARIES, (BAD_PART, False)), 1)),
    ]


def fail_fast() -> list[Case]:
    """The rest of the message does not come. The server must say 1007 at the first byte that cannot be right."""
    whole = text(GOOD + BAD_PART + REST)
    head = len(whole) - len(GOOD + BAD_PART + REST)
    frames = text(GOOD, final=False), more(BAD_PART, final=False)
    until_bad = text(GOOD + BAD_PART[:1], final=False), more(BAD_PART[1:2], final=False)
    cuts = [0, head + len(GOOD), head + len(GOOD + BAD_PART)]
    cuts_until_bad = [0, head + len(GOOD) + 1, head + len(GOOD) + 2]

    def cut_at(places: list[int]) -> tuple[bytes, ...]:
        return tuple(whole[start:end] for start, end in pairwise(places))

    return [
        Case("6.4.1", frames, fails=NOT_UTF8, hangs=True),
        Case("6.4.2", until_bad, fails=NOT_UTF8, hangs=True),
        Case("6.4.3", cut_at(cuts), fails=NOT_UTF8, hangs=True, rest=whole[cuts[-1] :]),
        Case("6.4.4", cut_at(cuts_until_bad), fails=NOT_UTF8, hangs=True, rest=whole[cuts_until_bad[-1] :]),
    ]
