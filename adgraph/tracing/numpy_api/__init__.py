"""What NumPy's functions record, grouped by subject. Importing the package fills the table."""

from adgraph.tracing.numpy_api import (
    creation,
    elementwise,
    indexing,
    linalg,
    reduction,
    shape,
    table,
)

__all__ = ["creation", "elementwise", "indexing", "linalg", "reduction", "shape", "table"]
