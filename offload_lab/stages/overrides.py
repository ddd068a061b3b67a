"""A step with one INI changed, to show what a line does; the real file is not touched."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from offload_lab.errors import LabError
from offload_lab.paths import results

from . import manifest
from .step import Step


def altered(step: str, variant: str, *lines: str, without: Sequence[str] = (), ini: str | None = None) -> Step:
    """`step` with its `variant` changed: the real INI, then `lines`, which win over it.

    `ini` names it, if it is not the front's. Lines that contain a string of `without` are left out. The changed file
    stays in the results folder.

    Raises: LabError for a string that no line contains.
    """
    original = manifest.find(step)
    inis = original.variant(variant).inis
    name = ini or inis[-1]
    text = "\n".join(["[uwsgi]", *original_lines(original.folder / name, without), *lines, ""])
    folder = results() / "altered" / f"{original.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    whole = folder / f"{name}.{os.getpid()}"  # another process may read the same file meanwhile
    whole.write_text(text)
    whole.replace(folder / name)
    new = tuple(str(folder / name) if listed == name else listed for listed in inis)
    changed = replace(original.variant(variant), inis=new, reference=False)
    return replace(original, variants=tuple(changed if other.name == variant else other for other in original.variants))


def original_lines(path: Path, without: Sequence[str]) -> list[str]:
    """The lines of the INI at `path` without those that contain a string of `without`; else one that includes it."""
    if not without:
        return [f"ini = {path}"]
    lines = path.read_text().replace("%d", f"{path.parent}/").splitlines()
    settings = [line for line in lines if not line.startswith((";", "["))]
    for word in without:
        if not any(word in line for line in settings):
            raise LabError(
                f"no line of {path.name} contains {word!r}; its lines are:\n" + "\n".join(filter(None, settings))
            )
    return [line for line in settings if line and not any(word in line for word in without)]
