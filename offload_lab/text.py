"""Text that others wrote, before it reaches a terminal."""

import unicodedata

HARMLESS = "\t"
# Cc: control characters, C1 too; Cf: what turns or hides letters; Cs: bytes that were no UTF-8; Zl, Zp: more line ends
UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(line: str) -> str:
    """`line` with each character that a terminal would act on written out: a client decides what is in a log."""
    return "".join(
        letter if letter in HARMLESS or unicodedata.category(letter) not in UNSAFE else ascii(letter)[1:-1]
        for letter in line
    )
