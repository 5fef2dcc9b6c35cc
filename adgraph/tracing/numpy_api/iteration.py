"""NumPy's iterators over elements, which are classes and so do not dispatch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from adgraph.errors import TracingError, message
from adgraph.tracing.numpy_api.creation import constructs
from adgraph.tracing.tracer import Tracer


@constructs(np.ndenumerate)
def ndenumerate(arr: Any) -> Iterator[tuple[tuple[int, ...], Any]]:
    if not isinstance(arr, Tracer):
        return iter(np.ndenumerate(arr))
    return ((at, arr[at] if at else arr) for at in np.ndindex(arr.shape))  # type: ignore[index]


@constructs(np.nditer)
def nditer(op: Any, *args: Any, **options: Any) -> Any:
    operands = op if isinstance(op, (list, tuple)) else (op,)
    if not any(isinstance(x, Tracer) for x in operands):
        return np.nditer(op, *args, **options)
    raise TracingError(
        message(
            "np.nditer was called with a traced array",
            "it walks over memory, and while tracing there is none yet",
            "loop over positions, for i in np.ndindex(x.shape): x[i], or use whole arrays",
        )
    )
