"""What a recording must have for the page and for `recordings` to read it. More than that is no fault."""

from typing import Any

NUMBER = int | float
PLACE = {"n": int, "tokens": [(str, str, int)]}
PROBE = {"number": int, "sent": NUMBER, "answered": NUMBER | None, "status": int}
LANE = {**PLACE, "number": int, "tid": int, "rate": NUMBER}
WORKER = {**PLACE, "pid": int, "busy": bool, "busy_s": NUMBER, "request": str, "rate": NUMBER, "lanes": [LANE]}
BACKEND = {**PLACE, "name": str, "pid": int, "under_way": int, "cores": int}
SIDE = {
    "text": str,
    "state": str,
    "queue": PLACE,
    "workers": [WORKER],
    "backends": [BACKEND],
    "held": int,
    "offloaded": int,
    "worker_bytes": NUMBER | None,
    "thread_bytes": NUMBER | None,
    "probes": [PROBE],
    "wait_ms": NUMBER | None,
    "clients": dict,
    "message": str,
    "done": int,
}
LINE = {"text": str, "short": str, "acts_by": str, "missing": bool}
ABOUT = {
    "step": str,
    "window_s": NUMBER,
    "sides": [{"title": str, "says": str, "lines": [LINE]}],
    "actions": [dict],
}
RECORDING = {"about": ABOUT, "frames": [{"n": int, "at": NUMBER, "cost_percent": NUMBER, "sides": [SIDE]}]}


def misfit(data: object, shape: Any, where: str = "it") -> str:
    """The first place of `data` that is not as `shape` has it; empty where there is none."""
    if isinstance(shape, dict | list | tuple):
        kind = dict if isinstance(shape, dict) else list
        if not isinstance(data, kind):
            return f"{where} is no {'object' if kind is dict else 'array'}"
        if isinstance(shape, tuple) and isinstance(data, list) and len(data) != len(shape):
            return f"{where} has {len(data)} parts, not {len(shape)}"
        parts = _parts(data, shape)
        return next((fault for name, part in parts if (fault := misfit(*part, f"{where}{name}"))), "")
    return "" if isinstance(data, shape) else f"{where} is missing" if data is None else f"{where} is {data!r:.40}"


def _parts(data: Any, shape: Any) -> list[tuple[str, tuple[object, Any]]]:
    if isinstance(shape, dict):
        return [(f".{name}", (data.get(name), part)) for name, part in shape.items()]
    shapes = shape if isinstance(shape, tuple) else shape * len(data)
    return [(f"[{index}]", pair) for index, pair in enumerate(zip(data, shapes, strict=True))]


def fault_of(recording: object) -> str:
    """Why this is no recording; empty where it is one."""
    if fault := misfit(recording, RECORDING, "it").removeprefix("it."):
        return fault
    assert isinstance(recording, dict)
    sides, frames = len(recording["about"]["sides"]), recording["frames"]
    if not frames or not sides:
        return "it has no frames" if sides else "it has no sides"
    if any(len(frame["sides"]) != sides for frame in frames):
        return f"not each of its frames has {sides} sides"
    times = [frame["at"] for frame in frames]
    return "" if times == sorted(times) else "its frames are not in the order of time"
