"""Random programs of views and in-place updates: overlap and aliasing are NumPy's, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from adgraph import trace
from adgraph.errors import TracingError
from adgraph.ir.evaluate import evaluate
from adgraph.testing import check_derivatives
from adgraph.tracing.trace import Trace, abstract, trace_function
from adgraph.tracing.tree import flatten

Array = np.ndarray[Any, Any]
Step = tuple[str, int, int, int]

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(3, 4)), RNG.normal(size=6)

VIEWS: dict[str, Callable[[Any, int], Any]] = {
    "whole": lambda a, n: a[...],
    "transposed": lambda a, n: a.T,
    "reversed": lambda a, n: a[::-1],
    "tail": lambda a, n: a[1:],
    "head": lambda a, n: a[:-1],
    "every second": lambda a, n: a[n % 2 :: 2],
    "row": lambda a, n: a[n % a.shape[0]] if a.ndim > 1 else a,
    "column": lambda a, n: a[:, n % a.shape[1]] if a.ndim > 1 else a,
    "line": lambda a, n: a.reshape(-1),
    "raveled": lambda a, n: a.ravel(),
    "pairs": lambda a, n: a.reshape(2, -1) if a.size % 2 == 0 else a,
    "new axis": lambda a, n: a[:, None] if a.ndim < 3 else a,
    "moved": lambda a, n: np.moveaxis(a, 0, -1),
    "flipped": lambda a, n: np.flip(a),
    "squeezed": lambda a, n: np.squeeze(a),
    "square": lambda a, n: a[: min(a.shape), : min(a.shape)] if a.ndim == 2 else a,
    "wide": lambda a, n: np.broadcast_to(a, (2, *a.shape)) if a.ndim < 3 else a,
    "copy": lambda a, n: a.copy(),
}
WRITES = [
    "=",
    "+=",
    "-=",
    "*=",
    "out",
    "copyto",
    "element",
    "swap",
    "gather",
    "mask",
    "flat",
    "fill",
]


def rearranged(pool: list[Any], name: str, i: int, n: int) -> None:
    pool.append(VIEWS[name](pool[i % len(pool)], n))


def fits(source: Any, target: Any) -> bool:
    try:
        return bool(np.broadcast_shapes(source.shape, target.shape) == target.shape)
    except ValueError:
        return False


def write(pool: list[Any], name: str, i: int, j: int, n: int) -> None:
    """Write an array into another, if the shapes fit; else a number."""
    target, source = pool[i % len(pool)], pool[j % len(pool)]
    value = source if fits(source, target) else 0.5 * n - 1.0
    rows = target.shape[0]
    match name:
        case "=":
            target[...] = value
        case "+=":
            target += value
        case "-=":
            target -= value
        case "*=":
            target *= value
        case "out":
            np.multiply(target, value, out=target)
        case "copyto" if source is not target:
            np.copyto(target, value)
        case "element":
            target[n % rows] = target[-1 - n % rows] * 2.0
        case "swap" if rows > 1:
            target[[0, rows - 1]] = target[[rows - 1, 0]]
        case "gather":
            target[np.arange(rows)[::-1]] = target[(np.arange(rows) * 2) % rows]
        case "mask":
            target[target > 0.3] *= 0.5
        case "flat":
            target.flat[n % target.size] = 1.5
        case "fill":
            target[:1].fill(0.25 * n)


def run(steps: list[Step], x: Any, y: Any) -> list[Any]:
    pool: list[Any] = [x, y]
    for name, i, j, n in steps:
        if name in VIEWS:
            rearranged(pool, name, i, n)
        elif pool[i % len(pool)].size and pool[i % len(pool)].ndim:
            write(pool, name, i, j, n)
    return pool


NUMBERS = st.integers(0, 7)
STEPS = st.lists(
    st.tuples(st.sampled_from([*VIEWS, *WRITES]), NUMBERS, NUMBERS, NUMBERS),
    min_size=4,
    max_size=14,
)


def numpys(steps: list[Step]) -> list[Array]:
    """Run a program in NumPy; one that writes a read-only view is none."""
    try:
        return run(steps, X.copy(), Y.copy())
    except ValueError as error:
        assume("read-only" not in str(error))
        raise


def recorded(steps: list[Step]) -> Trace:
    """Trace a program; one that writes a reshape of unknown memory order is refused."""
    leaves, structure = flatten(((X, Y), {}))
    try:
        return trace_function(
            lambda x, y: run(steps, x, y), structure, [abstract(x) for x in leaves]
        )
    except TracingError as error:
        assume("memory order" not in str(error))
        raise


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_views_and_writes_are_numpys(steps: list[Step]) -> None:
    wanted = numpys(steps)
    t = recorded(steps)
    found = evaluate(t.graph, X, Y)
    final = dict(zip(t.written, found[len(wanted) :], strict=True))
    for f, w in zip(found, wanted, strict=False):
        np.testing.assert_array_equal(f, w)
    for i, w in enumerate(wanted[:2]):
        np.testing.assert_array_equal(final.get(i, (X, Y)[i]), w)


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_compiled_views_and_writes_are_numpys_for_the_caller_too(steps: list[Step]) -> None:
    wanted = numpys(steps)
    recorded(steps)
    x, y = X.copy(), Y.copy()
    found = trace(lambda x, y: run(steps, x, y))(x, y)
    for f, w in zip([*found, x, y], [*wanted, *wanted[:2]], strict=True):
        np.testing.assert_array_equal(f, w)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_views_and_writes_have_their_derivatives(steps: list[Step]) -> None:
    numpys(steps)
    recorded(steps)
    check_derivatives(lambda x, y: run(steps, x * 1.0, y * 1.0), X, Y)
