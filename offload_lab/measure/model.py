"""A recorded measurement: plain data, saved as JSON, read back as it was. Times are seconds since its start."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from offload_lab.clients import Probe
from offload_lab.errors import LabError

SCHEMA = 1


@dataclass
class Transfer:
    """The long-lived requests: `count` of `kind` ("download" or "stream"), from `began` until `ended`.

    Until `hurried` a download was slow, and then read the rest as fast as it arrived; streams were open, and then
    disconnected.
    """

    path: str
    rate_mib_s: float
    began: float
    hurried: float
    ended: float
    received_mib: float
    kind: str = "download"
    count: int = 1

    @property
    def name(self) -> str:
        plural = "s" * (self.count != 1)
        return f"slow\n{self.kind}" if self.kind == "download" else f"{self.count} open\n{self.kind}{plural}"

    @property
    def meanwhile(self) -> str:
        """The predicate of a sentence about bystanders."""
        if self.kind == "download":
            return "answered during the download"
        return f"answered while {self.count} {self.kind}{'s were' if self.count > 1 else ' was'} open"


@dataclass
class Sample:
    """The processes at one moment.

    `workers`: by process, whether it is the front's, whether it was busy, its requests and its offloaded requests.
    `memory_mib`: by process id. `holder`: the owner of the slow client's socket, None once it has none.
    `gap`: why the processes could not be read until the next sample; empty where they were.
    """

    at: float
    workers: list[dict[str, int | bool]]
    memory_mib: dict[str, float]
    holder: dict[str, int | None] | None
    gap: str = ""


@dataclass
class Recording:
    """One variant's run. `memory_is` is the measure of memory, PSS or RSS; `says` the variant's description."""

    step: str
    variant: str
    says: str
    reference: bool
    engine: str
    machine: str
    taken: str
    memory_is: str
    transfer: Transfer
    bystanders: list[Probe] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    schema: int = SCHEMA

    @property
    def seen(self) -> list[Sample]:
        """The samples without a gap."""
        return [sample for sample in self.samples if not sample.gap]

    @property
    def gaps(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.gap]

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Recording":
        """Raises: LabError for a file that is no recording of this schema."""
        try:
            data = json.loads(path.read_text())
            if data["schema"] != SCHEMA:
                raise LabError(f"{path} has schema {data['schema']}, this version reads {SCHEMA}; record it again")
            data["transfer"] = Transfer(**data["transfer"])
            data["bystanders"] = [Probe(**row) for row in data["bystanders"]]
            data["samples"] = [Sample(**row) for row in data["samples"]]
            return cls(**data)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LabError(f"{path} is no recording: {error!r}; make one with ./lab demo") from error
