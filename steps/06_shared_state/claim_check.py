"""The claim check pattern: a payload too large for a request's variables, and the key under which it is stored."""

import json
import re
import secrets

WHERE_TO = ["Tartu", "Ohrid", "Ystad", "Lecce", "Évora"]
KEY = re.compile(r"[A-Za-z0-9_-]{43}")


def new_key():
    """256 random bits. The key alone gives access to the payload, so it must not be guessable."""
    return secrets.token_urlsafe(32)


def pack(user, departures):
    """The timetable of `user` as JSON: about 80 bytes for each departure."""
    rows = [
        {"train": 100 + n, "to": WHERE_TO[n % 5], "platform": n % 12 + 1, "seat": f"{n % 40}{'ABCD'[n % 4]}"}
        for n in range(departures)
    ]
    return json.dumps({"for": user, "departures": rows})
