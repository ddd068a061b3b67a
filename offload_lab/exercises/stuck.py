"""Which workers are busy and do not get free."""

from offload_lab.inspect import Server, Worker, take_snapshot
from offload_lab.stages.stage import Stage

STUCK_S = 1  # a request that is offloaded leaves its worker sooner


def stuck(stage: Stage) -> list[tuple[Server, Worker]]:
    """Who has no time for anybody else: a front's worker that does not get rid of a visitor, a worker behind that has
    room for no other. What offload threads carry is no longer a request of the front's."""
    *behind, front = take_snapshot(stage.step, stage.variant, stage.run).servers
    return [(front, one) for one in front.workers if lasts(one)] + [
        (server, one) for server in behind for one in server.workers if lasts(one) and len(one.requests) == one.cores
    ]


def lasts(worker: Worker) -> bool:
    return any(request.since_s >= STUCK_S for request in worker.requests)
