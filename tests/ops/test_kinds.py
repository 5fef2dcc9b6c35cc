"""Kinds of ops compiled: complex numbers, arrays of no and of one element, strided operands.

Rows of the table whose first op is of one kind are joined to one program, so that few programs are
compiled. tests/lower/test_programs.py compiles every row by itself, for real numbers, and
tests/ops/test_complex_laws.py checks that complex numbers become real ones of the same meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.op import OPS, Kind
from adgraph.lower.program import lower
from adgraph.passes.pipeline import CANONICAL, FINAL, run_pipeline
from adgraph.runtime.compiled import Compiled
from adgraph.testing import assert_close, direction
from adgraph.transforms.vjp import vjp
from tests.ops.laws import COMPLEX, REAL_ROWS, Array, Program, Row, generator, traced, varies
from tests.samples.sample import Sample

KINDS = (Kind.ELEMENTWISE, Kind.REDUCTION, Kind.VIEW, Kind.MOVEMENT, Kind.LIBRARY)
CHOSEN = 5  # rows of a kind, where not all are tried
Samples = tuple[Sample, ...]
Change = Callable[[Any], Any]


def of_kind(rows: Sequence[Row], kind: Kind) -> Samples:
    return tuple(sample for sample, _ in rows if OPS[sample.ops[0]].kind is kind)


def some_of_each_kind(rows: Sequence[Row]) -> Any:
    """Try a test on rows of every kind, evenly spaced in the table."""
    found = {kind.value: of_kind(rows, kind) for kind in KINDS}
    groups = [x[:: max(len(x) // CHOSEN, 1)] for x in found.values() if x]
    return pytest.mark.parametrize("samples", groups, ids=[name for name in found if found[name]])


def joined(samples: Samples, dtype: str, change: Change = lambda x: x) -> Program:
    """Trace the rows together; `change` is applied to the arrays that are passed."""

    def program(args: Any) -> Any:
        return tuple(s.function(*row) for s, row in zip(samples, args, strict=True))

    args = (sample.arguments(generator(sample), dtype) for sample in samples)
    return traced(program, (tuple(tuple(map(change, row)) for row in args),))


def assert_gradient_compiled(p: Program) -> None:
    backward = vjp(p.graph, p.active)
    rng = np.random.default_rng(3)
    seeds = [np.empty(v.type.shape, v.type.dtype) for v in backward.inputs[len(p.arrays) :]]
    assert_compiled(backward, [*p.arrays, *(direction(x, rng) for x in seeds)])


def assert_compiled(graph: Graph, arrays: Sequence[Any]) -> None:
    with np.errstate(all="ignore"):
        expected = evaluate(graph, *arrays)
    final, _ = run_pipeline(graph, (*CANONICAL, *FINAL))
    found = Compiled(lower(final))([np.require(a, None, ["C", "A"]) for a in arrays])
    for f, e in zip(found, expected, strict=True):
        assert_close(f, e, "rounded")


SMOOTH = [row for row in COMPLEX if varies(*row) and "f4" in row[0].dtypes]


@pytest.mark.parametrize("dtype", ["c16", "c8"])
@some_of_each_kind(SMOOTH)
def test_complex_numbers(samples: Samples, dtype: str) -> None:
    p = joined(samples, dtype)
    assert_compiled(p.graph, p.arrays)
    assert_gradient_compiled(p)


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("dtype", ["f8", "c16"])
@some_of_each_kind([row for row in SMOOTH if row[0].resizable])
def test_arrays_of_no_and_of_one_element(samples: Samples, dtype: str, size: int) -> None:
    p = joined(samples, dtype, lambda x: x[:size].copy() if np.ndim(x) else x)
    assert_compiled(p.graph, p.arrays)
    assert_gradient_compiled(p)


# --- strides --------------------------------------------------------------------------------------


def _spaced(x: Array) -> Array:
    wide = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
    wide[(slice(None, None, 2),) * x.ndim] = x
    return wide


def _every_second(x: Any) -> Any:
    return x[(slice(None, None, 2),) * x.ndim]


# An array that is passed, and the view of it that a program reads in its place.
STRIDES: tuple[tuple[Change, Change], ...] = (
    (lambda x: np.flip(x).copy(), np.flip),
    (lambda x: x.T.copy(), np.transpose),
    (_spaced, _every_second),
)
ROWS_TOGETHER = 16
DOUBLES = [row for row in REAL_ROWS if row[1] == "f8"]
STRIDED = [
    pytest.param(chosen[i : i + ROWS_TOGETHER], id=f"{kind.value}-{i}")
    for kind in KINDS
    for chosen in [of_kind(DOUBLES, kind)]
    for i in range(0, len(chosen), ROWS_TOGETHER)
]


def _in_views(sample: Sample, turn: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a row as a function of arrays of which it reads views, and those arrays."""
    args = sample.arguments(generator(sample), "f8")
    changes = [STRIDES[(i + turn) % 3] if np.ndim(x) else None for i, x in enumerate(args)]

    def function(*given: Any) -> Any:
        views = (x if c is None else c[1](x) for x, c in zip(given, changes, strict=True))
        return sample.function(*views)

    return function, tuple(x if c is None else c[0](x) for x, c in zip(args, changes, strict=True))


@pytest.mark.parametrize("samples", STRIDED)
def test_operands_with_negative_transposed_and_double_strides(samples: Samples) -> None:
    functions, args = zip(*(_in_views(s, i) for i, s in enumerate(samples)), strict=True)

    def program(args: Any) -> Any:
        return tuple(f(*row) for f, row in zip(functions, args, strict=True))

    p = traced(program, (args,))
    assert_compiled(p.graph, p.arrays)
