"""uWSGI's magic variables: ``%d`` and its like, replaced before anything else is read."""

import os
import re
from collections.abc import Callable, Iterator, Mapping

HERE = "dpsnecox0123456789"  # letters about the file; the machine's are left as they are
MACHINE = "vhtTVkuUgGbijIJ"
TEMPLATE = r"\{%.*?%\}|\{\{.*?\}\}|\{#.*?#\}|<%.*?%>"  # another program replaces these before uWSGI reads the file
PERCENT = re.compile(TEMPLATE + r"|%(.)|%$", re.DOTALL)


def magic_of(path: str, section: str) -> dict[str, str]:
    """What each letter stands for in the file `path`, without the percent sign."""
    full = os.path.abspath(path)
    folder, name = os.path.split(full)
    stem, dot, ending = name.rpartition(".")
    parts = folder.strip("/").split("/")
    return {
        **dict.fromkeys(HERE, ""),
        **{str(number): part for number, part in enumerate(parts[:10])},
        "o": path, "p": full, "s": name, "d": folder.rstrip("/") + "/", "n": stem if dot else name,
        "e": ending if dot else "", "c": parts[-1], "x": section, "%": "%", "(": "%(", "[": "\x1b",
    }  # fmt: skip


def of_first_file(magic: Mapping[str, str]) -> dict[str, str]:
    """The capital letters: the same about the file that was read first."""
    return {letter.upper(): value for letter, value in magic.items() if letter.isalpha()}


def lines(text: str, magic: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """Each line with its number and its text in the file. A percent sign at a line's end joins it to the next."""
    start, before, raw = 1, "", ""
    for number, line in enumerate(text.split("\n"), 1):
        joins = False

        def put_in(match: re.Match[str]) -> str:
            nonlocal joins
            joins = match[0] == "%"
            letter = match[1]
            if joins or letter is None:
                return "" if joins else match[0]
            return match[0] if letter in MACHINE else magic.get(letter, "")

        before, raw = before + PERCENT.sub(put_in, line), raw or line
        if not joins:
            yield start, before, raw
            start, before, raw = number + 1, "", ""
    if before:
        yield start, before, raw


def substitute(text: str, magic: Mapping[str, str]) -> str:
    """The whole text, for formats in which a line's end means nothing."""
    return "\n".join(line for _, line, _ in lines(text, magic))


Substitute = Callable[[str], str]
