"""What is to be measured: cells, and the plans made of them. No process here."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .contestants import KINDS, Contestant

# threads, workers and backends of the law's series; "ours" is the wheel
SERIES: Mapping[str, tuple[tuple[int, int, int], ...]] = {
    "ours": ((1, 1, 1),),
    "ours_built": ((1, 1, 1), (2, 1, 1), (4, 1, 1), (8, 1, 1), (1, 2, 1), (1, 1, 2)),
    "ours_passed": ((1, 1, 1), (1, 1, 2)),
}
USUAL = (2, 1, 1)


@dataclass(frozen=True)
class Cell:
    """One measurement. `streams` are slow readers in a download.

    Of ours: `threads` and `workers` in front, `backends` are processes of the app behind.
    """

    contestant: str
    workload: str
    streams: int
    round: int = 1
    threads: int = 2
    workers: int = 1
    backends: int = 1

    def __str__(self) -> str:
        shape = (self.threads, self.workers, self.backends)
        said = "" if shape == USUAL else "  threads {}, workers {}, backends {}".format(*shape)
        return f"{self.contestant:<13} {self.workload:<9} {self.streams:>6,}{said}"


@dataclass(frozen=True)
class Timing:
    """Seconds, but for `broadcasts`, which counts.

    `idle_s`: bystanders with nothing else going on. `quiet_s`: CPU is counted, nobody else comes. `beside_s`:
    bystanders beside what is going on. `open_within_s`: who is not answered by then counts as failed. `patience_s`: for
    so long a bystander is waited for at the end.
    """

    idle_s: float
    quiet_s: float
    beside_s: float
    open_within_s: float
    patience_s: float
    broadcasts: int


@dataclass(frozen=True)
class Plan:
    """`sizes`: how many streams (or slow readers) each workload is tried with, in turn with all contestants.

    `kinds`: who takes part.
    """

    rounds: int
    timing: Timing
    sizes: tuple[tuple[str, int], ...]
    kinds: tuple[str, ...] = KINDS

    def takes(self, one: Contestant, names: Collection[str]) -> bool:
        """Whether `one` takes part, where only `names` are wanted besides ours, or everybody if there are none."""
        return one.kind in self.kinds and (one.kind in ("ours", "floor") or one.name in names or not names)

    def cells(self, contestants: Iterable[Contestant]) -> Iterator[Cell]:
        """Contestants take turns, so that whatever else the machine does hits all of them."""
        chosen = list(contestants)
        for turn in range(1, self.rounds + 1):
            for workload, streams in self.sizes:
                yield from (Cell(one.name, workload, streams, turn) for one in chosen if workload in one.workloads)


@dataclass(frozen=True)
class Law(Plan):
    """Ours alone: every one of `series` with every number of streams."""

    kinds: tuple[str, ...] = ("ours",)
    series: Mapping[str, tuple[tuple[int, int, int], ...]] = field(default_factory=lambda: SERIES)

    def cells(self, contestants: Iterable[Contestant]) -> Iterator[Cell]:
        chosen = [one.name for one in contestants]
        for turn in range(1, self.rounds + 1):
            for workload, streams in self.sizes:
                for name in chosen:
                    yield from (Cell(name, workload, streams, turn, *shape) for shape in self.series[name])


PLANS: Mapping[str, Plan] = {
    "quick": Plan(
        rounds=1,
        timing=Timing(idle_s=0.5, quiet_s=4.0, beside_s=1.0, open_within_s=8.0, patience_s=5.0, broadcasts=1),
        sizes=(("hold", 4000),),
    ),
    "full": Plan(
        rounds=3,
        timing=Timing(idle_s=1.0, quiet_s=3.0, beside_s=3.0, open_within_s=40.0, patience_s=10.0, broadcasts=2),
        sizes=(
            *(("hold", streams) for streams in (100, 1000, 4000, 8000, 16000)),
            ("broadcast", 2000),
            ("storm", 2000),
            ("poison", 1000),
            ("download", 50),
        ),
    ),
    "law": Law(
        rounds=3,
        timing=Timing(idle_s=0.5, quiet_s=2.0, beside_s=2.0, open_within_s=30.0, patience_s=10.0, broadcasts=1),
        sizes=tuple(("broadcast", streams) for streams in (500, 1000, 2000, 4000, 8000, 16000)),
    ),
    "storms": Law(
        rounds=10,
        timing=Timing(idle_s=0.5, quiet_s=0.0, beside_s=0.0, open_within_s=6.0, patience_s=2.0, broadcasts=0),
        sizes=(("storm", 8000),),
        series=dict.fromkeys(SERIES, ((1, 1, 1),)),
    ),
}
