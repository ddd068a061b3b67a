"""The store's own worker: waits until Redis answers, then reports what is in it."""

import time

import feed

from offload_lab.stages.site.arguments import argument

client = feed.connect(argument("redis"))


def wait_for_redis(seconds):
    ends = time.monotonic() + seconds
    while True:
        try:
            return client.ping()
        except feed.PASSING:
            if time.monotonic() > ends:
                raise
            time.sleep(0.05)


wait_for_redis(10)


def application(environ, start_response):
    server, rows = client.info(), client.xinfo_stream(feed.FEED) if client.exists(feed.FEED) else {}
    lines = {
        "redis": f"{server['redis_version']}, process {server['process_id']}",
        "on disk": f"{server['aof_current_size'] // 1024} KiB, and {server['used_memory_human']} in memory",
        "clients": server["connected_clients"],
        "feed": f"{rows['length']} events, {rows['first-entry'][0]} to {rows['last-entry'][0]}" if rows else "empty",
        "payloads": sum(1 for _ in client.scan_iter("claim:*")),
    }
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{name:8} {value}\n".encode() for name, value in lines.items()]
