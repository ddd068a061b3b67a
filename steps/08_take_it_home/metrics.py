#!/usr/bin/env python3
"""uWSGI's stats servers as Prometheus text: metrics.py /run/shop/*-stats.sock

For node_exporter's textfile collector, from a timer: metrics.py … > shop.prom.new && mv shop.prom.new shop.prom
Run it as the user shop: the stats show cookies of running requests, so nobody else may read them.
"""

import json
import socket
import sys
from pathlib import Path

GAUGES = {"up": "1 if the stats server answered", "workers": "live workers", "busy": "requests under way"}
COUNTERS = {
    "requests_total": "requests since the workers were spawned",
    "offloaded_total": "of these, passed to an offload thread",
    "respawns_total": "workers started again",
    "exceptions_total": "exceptions that reached uWSGI",
    "harakiri_total": "workers ended by harakiri",
}


def read_stats(path):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(path))
        return json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))


def values(stats):
    workers = [worker for worker in stats["workers"] if worker["pid"]]
    cores = [core for worker in workers for core in worker["cores"]]
    return {
        "up": 1,
        "workers": len(workers),
        "busy": sum(core["in_request"] for core in cores),
        "requests_total": sum(worker["requests"] for worker in workers),
        "offloaded_total": sum(core["offloaded_requests"] for core in cores),
        "respawns_total": sum(worker["respawn_count"] - 1 for worker in workers),
        "exceptions_total": sum(worker["exceptions"] for worker in workers),
        "harakiri_total": sum(worker["harakiri_count"] for worker in workers),
    }


def main(paths):
    found = {}
    for path in map(Path, paths):
        try:
            found[path.name.removesuffix("-stats.sock")] = values(read_stats(path))
        except (OSError, ValueError):
            found[path.name.removesuffix("-stats.sock")] = {"up": 0}
    for name, text in {**GAUGES, **COUNTERS}.items():
        print(f"# HELP uwsgi_{name} {text}\n# TYPE uwsgi_{name} {'gauge' if name in GAUGES else 'counter'}")
        for server, metrics in found.items():
            if name in metrics:
                print(f'uwsgi_{name}{{server="{server}"}} {metrics[name]}')


if __name__ == "__main__":
    main(sys.argv[1:])
