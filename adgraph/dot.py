"""The program `dot` that lays out pictures.

`find_dot` looks for Graphviz on the PATH, then for the `graphviz-pure` package, which brings a
`dot` of its own.
"""

from __future__ import annotations

import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Dot:
    """A `dot` program and where it comes from."""

    path: Path
    source: str


def find_dot() -> Dot | None:
    """Return the `dot` to use: Graphviz's own where it is installed, else graphviz-pure's."""
    if system := shutil.which("dot"):
        return Dot(Path(system), "Graphviz on the PATH")
    for path in _pure_candidates():
        if path.is_file():
            return Dot(path, "the package graphviz-pure")
    return None


def _pure_candidates() -> list[Path]:
    """Where pip may have put the program: as its record says, among the scripts, on the PATH."""
    from importlib import metadata  # late: only pictures need it, and it is slow

    found = [
        Path(str(file.locate())).resolve()
        for distribution in metadata.distributions(name="graphviz-pure")
        for file in distribution.files or ()
        if file.stem == "graphviz-pure"
    ]
    found += Path(sysconfig.get_path("scripts")).glob("graphviz-pure*")
    if on_path := shutil.which("graphviz-pure"):
        found.append(Path(on_path))
    return found
