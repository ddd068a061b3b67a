"""Untrusted text, made safe for a terminal."""

import unicodedata

HARMLESS = "\t"
# Cc: control characters, C1 too; Cf: invisible or reordering; Cs: bytes that were not UTF-8; Zl, Zp: line separators
UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(line: str) -> str:
    """`line` with each character that a terminal would act on escaped: a client decides what is in a log."""
    return "".join(
        letter if letter in HARMLESS or unicodedata.category(letter) not in UNSAFE else ascii(letter)[1:-1]
        for letter in line
    )
