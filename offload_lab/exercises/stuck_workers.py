"""Workers that are busy for longer than an offloaded request would keep them."""

from offload_lab.inspect import Server, Worker, take_snapshot
from offload_lab.stages.stage import Stage

STUCK_S = 1  # a request that is offloaded leaves its worker sooner


def stuck_workers(stage: Stage) -> list[tuple[Server, Worker]]:
    """The front's workers that are stuck in a request, and the backends' workers whose cores all are.

    A connection that an offload thread has is no longer a request of the front.
    """
    *backends, front = take_snapshot(stage.step, stage.variant, stage.run).servers
    return [(front, worker) for worker in front.workers if lasts(worker)] + [
        (server, worker)
        for server in backends
        for worker in server.workers
        if lasts(worker) and len(worker.requests) == worker.cores
    ]


def lasts(worker: Worker) -> bool:
    return any(request.since_s > STUCK_S for request in worker.requests)  # only the second it began in is told
