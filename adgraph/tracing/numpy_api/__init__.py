"""What NumPy's functions record, grouped by subject. Importing the package fills the table."""

from adgraph.tracing.numpy_api import (
    assembly,
    compressed,
    contraction,
    creation,
    diagonal,
    elementwise,
    flat,
    indexing,
    iteration,
    linalg,
    positions,
    reduction,
    scatter,
    shape,
    special,
    table,
)

__all__ = [
    "assembly",
    "compressed",
    "contraction",
    "creation",
    "diagonal",
    "elementwise",
    "flat",
    "indexing",
    "iteration",
    "linalg",
    "positions",
    "reduction",
    "scatter",
    "shape",
    "special",
    "table",
]
