"""The record of one sample: a plain NumPy function whose graph exercises an op, and arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Make = Callable[[np.random.Generator, Any], tuple[Any, ...]]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A program of a line or two that every law is tried on.

    `ops` are the ops (names in `adgraph.ir.op.OPS`) that the row answers for. `make(rng, dtype)`
    gives the arguments: float arrays of `dtype` (float32 or float64) and whatever else the function
    takes. `errors` are argument makers for which NumPy and adgraph must both raise, with the type
    of the error.
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
    resizable: bool = False  # the arrays may be cut to 0 or 1 elements along their first axis
