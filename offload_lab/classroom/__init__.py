"""The class board: what seats may send, what the boards show, and a seat's outbox. The site is in ``classroom/``."""

from offload_lab.paths import ROOT

SITE = ROOT / "classroom"
