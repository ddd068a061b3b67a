"""The sentence on top of a side: what matters most at this moment, in the words of `inspect.describe`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from offload_lab.inspect.describe import OWN_CODE, count, doing, why
from offload_lab.inspect.snapshot import Server, Worker

STUCK_S = 1.1  # busy for so long is not in passing; with requests that follow each other 1 s is all that is known
NOUNS = {"download": "download", "stream": "stream", "websocket": "WebSocket", "ping": "ping"}
State = Literal["good", "bad", "unknown"]


@dataclass(frozen=True)
class Held:
    """`kinds` of the clients at one place: what they asked for, "" where that is not known. `how` ends the sentence."""

    place: str
    kinds: Sequence[str]
    how: str = ""


@dataclass(frozen=True)
class Sentence:
    text: str
    state: State = "good"


def sentence(
    front: Server, busy_s: dict[int, float], lanes: Sequence[Held], down: Sequence[str], queued: int
) -> Sentence:
    """`busy_s`: by worker, for how long it has been busy. `lanes`: what offload threads and, with sockets that were
    passed, backends hold. `down`: backends that do not run. `queued`: connections in the listen queue."""
    if not front.workers:
        return Sentence("No worker runs: the master starts one.", "bad")
    stuck = [worker for worker in front.workers if is_stuck(worker, front, busy_s)]
    parts = [say_stuck(stuck, front, busy_s)] if stuck else [say_free(front, busy_s)]
    if stuck and queued:
        parts.append(f"{count(queued, 'connection')} {'waits' if queued == 1 else 'wait'} in the queue.")
    parts += say_lanes([lane for lane in lanes if lane.kinds])
    parts += [f"The backend {name} does not run." for name in down]
    unseen = next((worker.unseen for worker in front.workers if worker.unseen), "")
    if unseen:
        parts.append(f"Who holds which connection is not known: {unseen}.")
    return Sentence(" ".join(parts), "bad" if stuck or down else "unknown" if unseen else "good")


def is_stuck(worker: Worker, front: Server, busy_s: dict[int, float]) -> bool:
    return worker.cores == 1 and not front.in_greenlets and busy_s.get(worker.pid, 0.0) >= STUCK_S


def say_stuck(stuck: Sequence[Worker], front: Server, busy_s: dict[int, float]) -> str:
    worker = max(stuck, key=lambda each: busy_s[each.pid])
    others = f" (and {len(stuck) - 1} more)" if len(stuck) > 1 else ""
    what = "busy" if worker.unseen else doing(worker.wait)
    may_still_offload = what == OWN_CODE and worker.offload_tids and front.routes_offload
    reason = "" if worker.unseen or may_still_offload else why(worker, front)
    return f"Worker {worker.pid}{others} has been {what} for {busy_s[worker.pid]:.0f} s{reason.partition(':')[0]}."


def say_free(front: Server, busy_s: dict[int, float]) -> str:
    if front.in_greenlets:
        return f"{count(sum(len(each.requests) for each in front.workers), 'request')} under way in greenlets."
    if len(front.workers) > 1:
        idle = sum(worker.pid not in busy_s for worker in front.workers)
        return f"{idle} of {len(front.workers)} workers are idle."
    [worker] = front.workers
    return f"Worker {worker.pid} is {'busy for a moment' if worker.busy else 'idle'}."


def say_lanes(lanes: Sequence[Held]) -> list[str]:
    """Each by its name; several offload threads together."""
    threads = [lane for lane in lanes if lane.place.startswith("Offload")]
    if len(threads) < 2:
        return [f"{lane.place} {serves(lane.kinds)}{lane.how}." for lane in lanes]
    together = serves([kind for lane in threads for kind in lane.kinds]).replace("serves", "serve", 1)
    rest = [lane for lane in lanes if lane not in threads]
    return [f"{len(threads)} offload threads {together}.", *say_lanes(rest)]


def serves(kinds: Sequence[str]) -> str:
    """``serves 3 streams and 1 download``."""
    counted = Counter(kinds)
    parts = [count(number, NOUNS.get(kind, "connection")) for kind, number in sorted(counted.items())]
    return f"serves {' and '.join(parts)}"
