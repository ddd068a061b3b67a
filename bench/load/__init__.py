"""The load generator: event streams by the thousand, probes, slow readers. Each kind is a process of its own, so that
the client is never the bottleneck. Standard library only: a process starts in a moment."""
