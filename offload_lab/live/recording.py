"""What a live view has shown: saved as JSON, played again, drawn by `plots.timeline` like any other measurement."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offload_lab.clients import Probe
from offload_lab.errors import LabError
from offload_lab.measure.model import Recording, Sample, Transfer

from .losses import ALARM_S
from .sentence import STUCK_S
from .shape import fault_of

Json = dict[str, Any]
SCHEMA = 1
LIMITS = {"alarm_s": ALARM_S, "stuck_s": STUCK_S}  # of the frames, told to the page with them
PAGE = Path(__file__).parent
SCRIPTS = ("timeline.js", "moves.js", "side.js", "live.js")
OK = 200


@dataclass(frozen=True)
class LiveRecording:
    about: Json
    frames: Sequence[Json]

    def to_json(self) -> Json:
        return {"live": SCHEMA, "about": self.about, "frames": list(self.frames)}

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_json(), separators=(",", ":")) + "\n")

    @classmethod
    def load(cls, path: Path) -> "LiveRecording":
        """Raises: LabError for a file that is no recording of a live view of this schema."""
        try:
            data = json.loads(path.read_text(), parse_constant=not_json)
        except (OSError, ValueError, RecursionError) as error:
            raise LabError(f"{path} is no recording of a live view: {error}; save one with ./lab live") from error
        schema = data.get("live") if isinstance(data, dict) else None
        if schema not in (None, SCHEMA):
            raise LabError(f"{path} has schema {schema}, this version reads {SCHEMA}; record it again")
        if fault := "it has no schema" if schema is None else fault_of(data):
            raise LabError(f"{path} is no recording of a live view: {fault}; save one with ./lab live")
        return cls({**LIMITS, **data["about"]}, data["frames"])  # older ones lack them

    def page(self) -> str:
        """The replay as one page that needs nothing else, not even a server."""
        data = json.dumps(self.to_json(), separators=(",", ":")).replace("<", "\\u003c")
        page = (PAGE / "page.html").read_text()
        page = page.replace(
            '<link rel="stylesheet" href="live.css">', f"<style>\n{(PAGE / 'live.css').read_text()}</style>"
        )
        for name in SCRIPTS:
            page = page.replace(f'<script src="{name}"></script>', f"<script>\n{(PAGE / name).read_text()}</script>")
        return page.replace("<script>", f'<script type="application/json" id="recording">{data}</script>\n<script>', 1)

    def recordings(self) -> list[Recording]:
        """One for each side, as the signature picture reads them."""
        return [self._of_side(number, side) for number, side in enumerate(self.about["sides"])]

    def _of_side(self, number: int, side: Json) -> Recording:
        rows = [(frame["at"], frame["sides"][number]) for frame in self.frames]
        start = rows[0][0]
        probes = {row["number"]: row for _, shown in rows for row in shown["probes"]}
        held = [at for at, shown in rows if of_interest(shown)]
        began, ended = (held[0] - start, held[-1] - start) if held else (0.0, 0.0)
        kinds = [kind for _, shown in rows for kind in kinds_of(shown)]
        most = max(count_of_interest(shown) for _, shown in rows)
        return Recording(
            step=self.about["step"],
            variant=side["title"].rpartition(" ")[2],
            says=side["says"],
            reference=number == len(self.about["sides"]) - 1,
            engine="",
            machine="",
            taken="",
            memory_is="not measured",
            transfer=Transfer(
                "", 0.0, began, ended, ended, 0.0, kind=kinds[0] if kinds else "stream", count=max(most, 1)
            ),
            bystanders=[
                Probe(
                    row["sent"] - start,
                    row["answered"] - start if row["answered"] and row["status"] == OK else None,
                    error=None if row["status"] in (0, OK) else str(row["status"]),
                )
                for row in probes.values()
                if row["sent"] >= start
            ],
            samples=[sample(at - start, shown) for at, shown in rows],
        )


def not_json(name: str) -> None:
    """NaN and Infinity, which Python's parser takes and a browser's does not."""
    raise ValueError(f"{name} is no JSON")


def places(side: Json) -> list[Json]:
    """Everything that holds clients: workers, their lanes, backends."""
    workers = side["workers"]
    return [*workers, *(lane for worker in workers for lane in worker["lanes"]), *side["backends"]]


def kinds_of(side: Json) -> list[str]:
    return [token[1] for place in places(side) for token in place["tokens"] if token[1] not in ("bystander", "ping")]


def count_of_interest(side: Json) -> int:
    """Clients that stay: bystanders at a place are left out of its count."""
    passing = sum(token[1] in ("bystander", "ping") for place in places(side) for token in place["tokens"])
    return sum(int(place["n"]) for place in places(side)) - passing


def of_interest(side: Json) -> bool:
    return count_of_interest(side) > 0


def sample(at: float, side: Json) -> Sample:
    workers = [
        {"pid": row["pid"], "front": True, "busy": row["busy"], "requests": 0, "offloaded": side["offloaded"]}
        for row in side["workers"]
    ]
    holder = None
    for worker in side["workers"]:
        for lane in worker["lanes"]:
            if lane["n"]:
                holder = {"pid": worker["pid"], "fd": None, "tid": lane["tid"]}
        if holder is None and any(token[1] not in ("bystander", "ping") for token in worker["tokens"]):
            holder = {"pid": worker["pid"], "fd": None, "tid": worker["pid"]}
    return Sample(at, workers, {}, holder, gap="" if side["workers"] else side["text"])
