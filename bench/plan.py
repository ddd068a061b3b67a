"""What is measured: cells, and the plans made of them. No process here."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from .specs import KINDS, ServerSpec

# threads, workers and backends of the scaling series; "offload" is the wheel
SERIES: Mapping[str, tuple[tuple[int, int, int], ...]] = {
    "offload": ((1, 1, 1),),
    "offload_patched": ((1, 1, 1), (2, 1, 1), (4, 1, 1), (8, 1, 1), (1, 2, 1), (1, 1, 2)),
    "passed": ((1, 1, 1), (1, 1, 2)),
}
DEFAULT = (2, 1, 1)


@dataclass(frozen=True)
class Cell:
    """One measurement. `streams` are slow readers in a download.

    For the offload servers: `threads` and `workers` of the front, `backends` are processes of the backend.
    """

    server: str
    workload: str
    streams: int
    round: int = 1
    threads: int = 2
    workers: int = 1
    backends: int = 1

    def __str__(self) -> str:
        shape = (self.threads, self.workers, self.backends)
        counts = "" if shape == DEFAULT else "  threads {}, workers {}, backends {}".format(*shape)
        return f"{self.server:<15} {self.workload:<9} {self.streams:>6,}{counts}"


@dataclass(frozen=True)
class Timing:
    """Seconds, but for `broadcasts`, which counts.

    `idle_s`: probes before the workload. `quiet_s`: CPU is counted, no probe is sent. `beside_s`: probes during the
    workload. `open_within_s`: a stream not answered by then counts as failed. `probe_wait_s`: how long outstanding
    probes are waited for.
    """

    idle_s: float
    quiet_s: float
    beside_s: float
    open_within_s: float
    probe_wait_s: float
    broadcasts: int


@dataclass(frozen=True)
class Plan:
    """`sizes`: the number of streams (or slow readers) for each workload, measured on all servers in turn.

    `kinds`: which servers are measured.
    """

    rounds: int
    timing: Timing
    sizes: tuple[tuple[str, int], ...]
    kinds: tuple[str, ...] = KINDS

    def includes(self, spec: ServerSpec, names: Collection[str]) -> bool:
        """Whether `spec` is measured; `names` restricts the peers, and is empty for all."""
        return spec.kind in self.kinds and (spec.kind in ("offload", "baseline") or spec.name in names or not names)

    def cells(self, specs: Iterable[ServerSpec], cores: int) -> Iterator[Cell]:
        """Servers take turns: other work of the machine hits all of them. `cores`: those of the machine."""
        chosen = list(specs)
        for turn in range(1, self.rounds + 1):
            for workload, streams in self.sizes:
                yield from (Cell(spec.name, workload, streams, turn) for spec in chosen if workload in spec.workloads)


@dataclass(frozen=True)
class ScalingPlan(Plan):
    """The offload servers alone: every one of `series` with every number of streams."""

    kinds: tuple[str, ...] = ("offload",)
    series: Mapping[str, tuple[tuple[int, int, int], ...]] = field(default_factory=lambda: SERIES)

    def cells(self, specs: Iterable[ServerSpec], cores: int) -> Iterator[Cell]:
        names = [spec.name for spec in specs]
        for turn in range(1, self.rounds + 1):
            for workload, streams in self.sizes:
                for name in names:
                    yield from (Cell(name, workload, streams, turn, *shape) for shape in self.series[name])


@dataclass(frozen=True)
class WorkersPlan(Plan):
    """As many processes as cores for a `hold`, and `poisoned` workers for a `poison`, of which Django has but one
    elsewhere: threads and async servers do not lose there, and are left out."""

    poisoned: tuple[int, ...] = (1, 2, 4)

    def cells(self, specs: Iterable[ServerSpec], cores: int) -> Iterator[Cell]:
        chosen = [spec for spec in specs if spec.kind != "baseline"]
        for turn in range(1, self.rounds + 1):
            for workload, streams in self.sizes:
                counts = self.poisoned if workload == "poison" else (cores,)
                for spec in (spec for spec in chosen if workload != "poison" or spec.kind != "python"):
                    yield from (Cell(spec.name, workload, streams, turn, 2, count, count) for count in counts)


@dataclass(frozen=True)
class MostPlan(Plan):
    """As many streams as the descriptors of several processes allow."""

    kinds: tuple[str, ...] = ("offload",)
    tried: tuple[Cell, ...] = (
        Cell("offload_patched", "hold", 16_000, threads=2, workers=4, backends=4),
        *(Cell("passed", "hold", streams, threads=2, workers=2, backends=8) for streams in (16_000, 32_000, 50_000)),
    )

    def cells(self, specs: Iterable[ServerSpec], cores: int) -> Iterator[Cell]:
        names = {spec.name for spec in specs}
        yield from (cell for cell in self.tried if cell.server in names)


PLANS: Mapping[str, Plan] = {
    "quick": Plan(
        rounds=1,
        timing=Timing(idle_s=0.5, quiet_s=4.0, beside_s=1.0, open_within_s=8.0, probe_wait_s=5.0, broadcasts=1),
        sizes=(("hold", 4000),),
    ),
    "full": Plan(
        rounds=3,
        timing=Timing(idle_s=1.0, quiet_s=3.0, beside_s=3.0, open_within_s=40.0, probe_wait_s=10.0, broadcasts=2),
        sizes=(
            *(("hold", streams) for streams in (100, 1000, 4000, 16000)),
            ("broadcast", 2000),
            ("storm", 2000),
            ("poison", 1000),
            ("download", 50),
        ),
    ),
    "scaling": ScalingPlan(
        rounds=3,
        timing=Timing(idle_s=0.5, quiet_s=2.0, beside_s=2.0, open_within_s=30.0, probe_wait_s=10.0, broadcasts=1),
        sizes=tuple(("broadcast", streams) for streams in (500, 1000, 2000, 4000, 8000, 16000)),
    ),
    "workers": WorkersPlan(
        rounds=3,
        timing=Timing(idle_s=1.0, quiet_s=3.0, beside_s=3.0, open_within_s=40.0, probe_wait_s=10.0, broadcasts=0),
        sizes=(("hold", 4000), ("poison", 1000)),
    ),
    "most": MostPlan(
        rounds=1,
        timing=Timing(idle_s=1.0, quiet_s=3.0, beside_s=3.0, open_within_s=300.0, probe_wait_s=10.0, broadcasts=0),
        sizes=(),
    ),
    "storms": ScalingPlan(
        rounds=10,
        timing=Timing(idle_s=0.5, quiet_s=0.0, beside_s=0.0, open_within_s=6.0, probe_wait_s=2.0, broadcasts=0),
        sizes=(("storm", 8000),),
        series=dict.fromkeys(SERIES, ((1, 1, 1),)),
    ),
}
