"""What the app says about a file that another server sends: its type, its name, and how a browser may treat it."""

import os
from mimetypes import MimeTypes
from urllib.parse import quote

UNKNOWN = "application/octet-stream"
TYPES = MimeTypes()  # Python's own table, the same on every machine; it does not read /etc/mime.types
UNSAFE_IN_QUOTES = '"\\%'  # of these browsers make different things inside filename="..."


def content_type(name):
    """By the ending alone. A packed file (.tar.gz) is sent as it is, and so is of no type that a browser unpacks."""
    kind, packed_with = TYPES.guess_type(name)
    return kind if kind and not packed_with else UNKNOWN


def content_disposition(name):
    """RFC 6266: `filename` in plain ASCII for old clients, `filename*` with all of the name; a client takes that."""
    plain = "".join(letter if is_plain(letter) else "_" for letter in name)
    # bytes that are not UTF-8 have no place in filename*: U+FFFD stands for them
    whole = quote(os.fsencode(name).decode("utf-8", "replace"), safe="")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{whole}"


def is_plain(letter):
    return " " <= letter <= "~" and letter not in UNSAFE_IN_QUOTES


def file_headers(path):
    """What uWSGI and nginx cannot know of the file at `path`: theirs are Content-Length and Last-Modified."""
    name = os.path.basename(path)
    return [
        ("Content-Type", content_type(name)),
        ("Content-Disposition", content_disposition(name)),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Security-Policy", "default-src 'none'; sandbox"),
    ]


def header_bytes(path):
    """`path` as a header's value: WSGI wants str whose letters are bytes (PEP 3333)."""
    return os.fsencode(path).decode("latin-1")
