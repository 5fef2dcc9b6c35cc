"""What NumPy's functions record, grouped by subject. Importing the package fills the table."""

from adgraph.tracing.numpy_api import (
    assembly,
    contraction,
    creation,
    diagonal,
    elementwise,
    indexing,
    linalg,
    reduction,
    shape,
    special,
    table,
)

__all__ = [
    "assembly",
    "contraction",
    "creation",
    "diagonal",
    "elementwise",
    "indexing",
    "linalg",
    "reduction",
    "shape",
    "special",
    "table",
]
