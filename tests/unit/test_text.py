"""What a client put into a log reaches a terminal as letters."""

import pytest

from offload_lab.text import printable


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("GET /größe 价目表\t200", "GET /größe 价目表\t200"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m", r"\x9b31m"),
        ("over\r\b\x7f\0", r"over\r\x08\x7f\x00"),
        ("\u202eretrieved\u2028", r"\u202eretrieved\u2028"),
        (b"\xff".decode(errors="surrogateescape"), r"\udcff"),
        ("[bold]not markup[/]", "[bold]not markup[/]"),
    ],
    ids=ascii,
)
def test_what_a_terminal_would_act_on_is_written_out(sent, shown):
    assert printable(sent) == shown
