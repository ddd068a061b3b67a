"""What is expected of every client behind every proxy in every fault, and the tables that docs/field-notes.md shows.

``python -m tests.integration.peers.table`` writes them there.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from offload_lab.paths import ROOT

from .clients import Client
from .faults import FAULTS, STAY, faults_of
from .trial import PLANS, WAYS

NOTES = ROOT / "docs" / "field-notes.md"
BEGIN, END = "<!-- faults {} -->\n", "<!-- end -->"
TABLES = {"03, 06, 08": ("03", "06", "08"), "04, 08": ("04", "08 ws")}


@dataclass(frozen=True)
class Cell:
    """One client on one route in one fault. `code` is the WebSocket's close code."""

    step: str
    client: Client
    route: str
    fault: str

    @property
    def how(self) -> str:
        if (self.client.name, self.route.rpartition(" ")[2], self.fault) in ENDS_EARLY:
            return "back"
        return "stays" if self.fault in STAY else "back"

    @property
    def code(self) -> int | None:
        if PLANS[self.step].path != "/ws" or self.how == "stays":
            return None
        return GOING_AWAY if self.fault == "backend stopped, started" else NO_CLOSE_FRAME

    def __str__(self) -> str:
        return f"{self.how}, {self.code}" if self.code else self.how


GOING_AWAY, NO_CLOSE_FRAME = 1001, 1006  # RFC 6455, section 7.4.1
# httpx takes nginx's GOAWAY, "no new requests on this connection", for the end of the streams that are open
ENDS_EARLY = {("httpx-sse", "h2", "nginx reloaded")}


def routes(client: Client) -> list[str]:
    return ["direct", *(f"{way} {protocol}" for way in WAYS for protocol in client.protocols)]


def cells(step: str) -> Iterator[Cell]:
    for client in PLANS[step].clients:
        for route in routes(client):
            for fault in faults_of(step, route):
                yield Cell(step, client, route, fault)


def render(steps: tuple[str, ...]) -> str:
    """A Markdown table: a row for each client and route, a column for each fault."""
    found = {(cell.client.name, cell.route, cell.fault): str(cell) for step in steps for cell in cells(step)}
    columns = [fault for fault in FAULTS if any(key[2] == fault for key in found)]
    lines = [f"| client | through | {' | '.join(columns)} |", "|---|---|" + "---|" * len(columns)]
    for client, route in dict.fromkeys(key[:2] for key in found):
        row = [found.get((client, route, fault), "") for fault in columns]
        lines.append(f"| {client} | {route} | {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def replaced(text: str) -> str:
    """The field notes with these tables."""
    for name, steps in TABLES.items():
        before, _, rest = text.partition(BEGIN.format(name))
        text = before + BEGIN.format(name) + render(steps) + END + rest.partition(END)[2]
    return text


if __name__ == "__main__":
    NOTES.write_text(replaced(NOTES.read_text()))
