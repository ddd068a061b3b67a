"""The live view: one page on which real processes are seen to hold, offload and pass connections.

`watcher` looks at a uWSGI several times a second, cheaply. `clients` are what the page's buttons open. `frame` makes of
both the picture of one moment, without any process. `side` is one variant with its clients and buttons, `view` all of
them and what was seen so far, `server` the page. `recording` reads and writes what was seen.
"""
