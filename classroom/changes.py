"""The gevent backend: step 06's stream app, whose events here say only that something changed, and where in the feed.

What changed stays in Redis: a board asks Django for its picture, and Django knows what that board may see.
"""

from urllib.parse import parse_qs

import feed


class Change(feed.Entry):
    @classmethod
    def parse(cls, id, fields):
        number = int(fields["number"])
        return cls(id, feed.position(id), number, feed.event("changed", id, number=number))


feed.Entry = Change

import streamapp  # noqa: E402 (it follows the feed from the moment it is loaded)


def application(environ, start_response):
    """A page's first stream begins where its picture ended: ``?after=``. Later ones have the browser's own header."""
    after = parse_qs(environ["QUERY_STRING"]).get("after", [""])[0]
    return streamapp.application({"HTTP_LAST_EVENT_ID": after, **environ}, start_response)
