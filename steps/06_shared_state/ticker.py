"""The mule of stream.ini, a process without visitors: announces trains, one after the other, whatever happens."""

import itertools
import sys
import time

import feed

TRAINS = ["night train to Tartu", "slow train to Ohrid", "boat train to Ystad", "mail train to Lecce"]

redis, tick_s = feed.connect(sys.argv[3]), float(sys.argv[-2])
history = int(sys.argv[-1])
for train in itertools.cycle(TRAINS):
    try:
        feed.publish(redis, "train", patience_s=3600, history=history, text=train)
    except feed.PASSING as error:
        print(f"ticker: gave {train} up, {error}", flush=True)
    time.sleep(tick_s)
