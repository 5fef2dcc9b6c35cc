"""Pictures that lay themselves out: `Picture` is a `graphviz.Digraph` that is saved by extension.

Importing this module imports `graphviz`. Nothing is written but the file asked for: layouts are
piped through the `dot` that `adgraph.dot` finds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import graphviz
import graphviz.backend.dot_command

from adgraph.dot import Dot, find_dot
from adgraph.errors import AdgraphError

PNG_DPI = "144"
TEXT_SUFFIXES = (".dot", ".gv")


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
