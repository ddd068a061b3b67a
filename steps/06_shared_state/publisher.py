"""The mule of stream.ini, a process without clients: publishes one event after the other."""

import itertools
import time

import feed

from offload_lab.stages.site.arguments import argument

TRAINS = ["night train to Tartu", "slow train to Ohrid", "boat train to Ystad", "mail train to Lecce"]

redis = feed.connect(argument("redis"))
tick_s, history = float(argument("tick_s")), int(argument("history"))
for train in itertools.cycle(TRAINS):
    try:
        feed.publish(redis, "train", patience_s=3600, history=history, text=train)
    except feed.PASSING as error:
        print(f"publisher: gave up {train}: {error}", flush=True)
    time.sleep(tick_s)
