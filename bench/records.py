"""A run's file, JSON lines: first the plan and the machine, then each cell as soon as it is measured."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from offload_lab.errors import LabError

from .plan import Cell

SCHEMA = 1


@dataclass
class Run:
    """`about`: plan, machine, versions, limits, settings. `results`: numbers, or "missing" or "failed" and why."""

    path: Path
    about: dict[str, Any]
    results: dict[Cell, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def begin(cls, path: Path, about: dict[str, Any]) -> "Run":
        run = cls(path, {"schema": SCHEMA, **about})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(run.about) + "\n")
        return run

    @classmethod
    def load(cls, path: Path) -> "Run":
        """Drops a last line that was cut off by a power cut or a full disk.

        Raises: LabError where the file is no recording.
        """
        try:
            whole, _, cut = path.read_text().rpartition("\n")
            about, *lines = map(json.loads, whole.splitlines())
            if about["schema"] != SCHEMA:
                raise LabError(f"{path} has schema {about['schema']}, this version reads {SCHEMA}; record it again")
            results = {Cell(**line["cell"]): line["result"] for line in lines}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LabError(f"{path} is no recording of ./lab bench: {error!r}") from error
        if cut:
            path.write_text(whole + "\n")
        return cls(path, about, results)

    def add(self, cell: Cell, result: dict[str, Any]) -> None:
        self.results[cell] = result
        with self.path.open("a") as file:
            file.write(json.dumps({"cell": asdict(cell), "result": result}) + "\n")

    def with_workers(self, count: int) -> "Run":
        """The part that was measured with `count` workers each."""
        return replace(self, results={cell: it for cell, it in self.results.items() if cell.workers == count})

    def left(self, cells: Iterable[Cell]) -> list[Cell]:
        """The cells without numbers: what was missing may be installed now."""
        return [cell for cell in cells if not has_numbers(self.results.get(cell, {"missing": ""}))]


def has_numbers(result: Mapping[str, Any]) -> bool:
    return not {"missing", "failed"} & set(result)
