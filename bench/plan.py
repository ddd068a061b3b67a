"""What is to be measured: cells, and the plans made of them. No process here."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .contestants import Contestant

THREADS = (1, 2, 4, 8)
LAW_STREAMS = (250, 500, 1000, 2000, 4000, 8000)


@dataclass(frozen=True)
class Cell:
    """One measurement. `streams` are slow readers in a download; `threads` and `workers` are the front's of ours."""

    contestant: str
    workload: str
    streams: int
    round: int = 1
    threads: int = 2
    workers: int = 1

    def __str__(self) -> str:
        usual = (self.threads, self.workers) == (2, 1)
        return f"{self.contestant:<13} {self.workload:<9} {self.streams:>6,}" + (
            "" if usual else f"  threads {self.threads}, workers {self.workers}"
        )


@dataclass(frozen=True)
class Timing:
    """Seconds, but for `broadcasts`, which counts.

    `idle_s`: bystanders with nothing else going on. `quiet_s`: CPU is counted, nobody else comes. `beside_s`:
    bystanders beside what is going on. `open_within_s`: who is not answered by then counts as failed.
    """

    idle_s: float
    quiet_s: float
    beside_s: float
    open_within_s: float
    broadcasts: int


@dataclass(frozen=True)
class Plan:
    """`sizes`: how many streams (or slow readers) each workload is tried with, in turn with all contestants."""

    rounds: int
    timing: Timing
    sizes: tuple[tuple[str, int], ...]

    def takes(self, one: Contestant, names: Collection[str]) -> bool:
        """Whether `one` takes part, where only `names` are wanted besides ours, or everybody if there are none."""
        return one.kind in ("ours", "floor") or one.name in names or not names

    def cells(self, contestants: Iterable[Contestant]) -> Iterator[Cell]:
        """Contestants take turns, so that whatever else the machine does hits all of them."""
        chosen = list(contestants)
        for turn in range(1, self.rounds + 1):
            for workload, streams in self.sizes:
                yield from (Cell(one.name, workload, streams, turn) for one in chosen if workload in one.workloads)


@dataclass(frozen=True)
class Law(Plan):
    """Ours alone, on both uWSGIs: every number of threads with every number of streams, and then a second worker."""

    def takes(self, one: Contestant, names: Collection[str]) -> bool:
        return one.kind == "ours"

    def cells(self, contestants: Iterable[Contestant]) -> Iterator[Cell]:
        chosen = [one.name for one in contestants]
        for turn in range(1, self.rounds + 1):
            for workload, streams in self.sizes:
                for name in chosen:
                    yield from (Cell(name, workload, streams, turn, threads) for threads in THREADS)
                    yield Cell(name, workload, streams, turn, threads=1, workers=2)


PLANS: Mapping[str, Plan] = {
    "quick": Plan(
        rounds=1,
        timing=Timing(idle_s=1.0, quiet_s=2.0, beside_s=2.0, open_within_s=20.0, broadcasts=1),
        sizes=(("hold", 4000),),
    ),
    "full": Plan(
        rounds=3,
        timing=Timing(idle_s=1.0, quiet_s=4.0, beside_s=4.0, open_within_s=45.0, broadcasts=2),
        sizes=(
            *(("hold", streams) for streams in (100, 1000, 4000, 8000)),
            *(("broadcast", streams) for streams in (1000, 4000)),
            *(("storm", streams) for streams in (1000, 4000)),
            ("poison", 1000),
            ("download", 50),
        ),
    ),
    "law": Law(
        rounds=3,
        timing=Timing(idle_s=0.5, quiet_s=4.0, beside_s=4.0, open_within_s=45.0, broadcasts=2),
        sizes=tuple(("broadcast", streams) for streams in LAW_STREAMS),
    ),
}
