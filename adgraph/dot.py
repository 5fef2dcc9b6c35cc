"""The program `dot` that lays out pictures, and pictures that render themselves with it.

`find_dot` looks for Graphviz on the PATH, then for the `graphviz-pure` package, which brings a
`dot` of its own. `Picture` is a `graphviz.Digraph` that is saved by extension. Nothing is written
but the file asked for: layouts are piped.
"""

from __future__ import annotations

import shutil
import sysconfig
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import graphviz
import graphviz.backend.dot_command

from adgraph.errors import AdgraphError

PNG_DPI = "144"
TEXT_SUFFIXES = (".dot", ".gv")


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


def point_graphviz_at_dot() -> Dot:
    """Make the `graphviz` package run the `dot` that was found, or say what to install."""
    dot = find_dot()
    if dot is None:
        raise AdgraphError(
            "a picture cannot be laid out: no `dot` was found\n"
            "  why: neither Graphviz nor the package graphviz-pure is installed\n"
            "  instead: pip install graphviz-pure, or apt-get install graphviz; "
            "the text form needs neither: save('graph.dot')"
        )
    graphviz.backend.dot_command.DOT_BINARY = dot.path
    return dot


class Picture(graphviz.Digraph):  # type: ignore[misc]  # graphviz carries no types
    """A directed graph for Graphviz that is saved by extension and shows itself in Jupyter."""

    def svg(self) -> str:
        """Return the picture as SVG text."""
        return self._render(self, "svg").decode()

    def save(
        self,
        filename: str | Path | None = None,
        directory: str | Path | None = None,
        *,
        skip_existing: bool | None = False,
    ) -> str:
        """Write the file `filename`: `.svg`, `.png`, ... as a picture, `.dot` or `.gv` as text."""
        suffix = "" if filename is None else Path(filename).suffix.lower()
        if suffix in ("", *TEXT_SUFFIXES):
            path: str = super().save(filename, directory=directory, skip_existing=skip_existing)
            return path
        target = Path(directory or ".") / str(filename)
        dense = self.copy()
        if suffix == ".png":
            dense.attr(dpi=PNG_DPI)
        content = self._render(dense, suffix[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        return str(target)

    def _render(self, picture: graphviz.Digraph, format: str) -> bytes:
        dot = point_graphviz_at_dot()
        try:
            content: bytes = picture.pipe(format=format, quiet=True)
        except (ValueError, graphviz.CalledProcessError) as error:
            reason = getattr(error, "stderr", None) or str(error).encode()
            raise AdgraphError(
                f"a picture cannot be made as {format!r}\n"
                f"  why: {dot.path} says: {reason.decode(errors='replace').strip()}\n"
                "  instead: save as .svg, .png or .dot; for other formats install Graphviz "
                "(apt-get install graphviz)"
            ) from None
        return content

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg()}
