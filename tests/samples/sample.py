"""The record of one sample: a plain NumPy function whose graph exercises an op, and arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Make = Callable[[np.random.Generator, Any], tuple[Any, ...]]
IMAGINARY = 0.25  # the size of imaginary parts beside real ones: samples stay near their domains


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A program of a line or two that every law is tried on.

    `ops` are the ops (names in `adgraph.ir.op.OPS`) that the row answers for. `make(rng, dtype)`
    gives the arguments: float arrays of `dtype` (float32 or float64) and whatever else the function
    takes. `errors` are argument makers for which NumPy and adgraph must both raise, with the type
    of the error. Complex arguments are made of two draws of real ones; the function must take them,
    or be refused by NumPy.
    """

    name: str
    ops: tuple[str, ...]
    function: Callable[..., Any]
    make: Make
    differentiable: bool = True
    analytic: bool = False  # complex step applies: no abs, max, comparison, conjugate
    exact: bool = True  # equals NumPy to a few ulp; False: only to the tolerance of the dtype
    dtypes: tuple[str, ...] = ("f8", "f4")
    skip: dict[str, str] = field(default_factory=dict)  # law -> written reason
    errors: tuple[tuple[Make, type[Exception]], ...] = ()
    real: str = ""  # why complex numbers are refused, which NumPy takes
    resizable: bool = False  # the arrays may be cut to 0 or 1 elements along their first axis

    def arguments(self, rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        """Make arguments of a dtype: of complex ones the imaginary part is a smaller draw."""
        dtype = np.dtype(dtype)
        if dtype.kind != "c":
            return self.make(rng, dtype)
        part = np.empty((), dtype).real.dtype
        first, second = (self.make(rng, part) for _ in range(2))
        numbers = "f" if any(_kind(x) == "f" for x in first) else "i"
        return tuple(
            np.asarray(a + IMAGINARY * 1j * b, dtype) if _kind(a) == numbers else a
            for a, b in zip(first, second, strict=True)
        )


def _kind(x: Any) -> str:
    return x.dtype.kind if isinstance(x, np.ndarray) else ""
