"""What one look cannot tell: rates, totals over workers that come and go, and since when a worker is busy."""

from dataclasses import dataclass, field

from offload_lab.inspect.snapshot import Worker

from .watcher import Look

SMOOTHED = 0.5  # the weight of the newest rate: events come in bursts


@dataclass
class Counters:
    """`rates`: bytes a second by thread. `by_workers`, `by_threads`: bytes since the start of the view."""

    rates: dict[int, float] = field(default_factory=dict)
    busy_since: dict[int, float] = field(default_factory=dict)
    by_workers: int = 0
    by_threads: int = 0
    _written: dict[int, int] = field(default_factory=dict)
    _at: float | None = None

    def update(self, look: Look, at: float) -> None:
        workers = look.snapshot.front.workers
        mains = {worker.pid for worker in workers}
        passed_s = at - self._at if self._at is not None else 0.0
        for tid, total in look.written.items():
            grown = total - self._written.get(tid, 0 if self._at is not None and tid not in mains else total)
            if tid in mains:
                self.by_workers += grown
            else:
                self.by_threads += grown
            if passed_s > 0:
                self.rates[tid] = SMOOTHED * grown / passed_s + (1 - SMOOTHED) * self.rates.get(tid, 0.0)
        self.rates = {tid: rate for tid, rate in self.rates.items() if tid in look.written}
        self.busy_since = {worker.pid: self._since(worker, at) for worker in workers if worker.busy}
        self._written, self._at = look.written, at

    def _since(self, worker: Worker, at: float) -> float:
        """When the request under way began: a worker that is busy whenever one looks may answer one after another."""
        known = self.busy_since.get(worker.pid, at)
        oldest = max((request.since_s for request in worker.requests), default=None)
        return known if oldest is None else max(known, at - oldest - 1)  # uWSGI tells whole seconds
