"""What the ops do with complex numbers, beside the laws of all numbers in tests/ops/test_laws.py.

Every op computes with them, or refuses them as NumPy does, or `tests.op_table.REAL` says why not.
Their real and imaginary parts, which kernels compute, have the meaning of the whole.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from adgraph.analysis.programs import nested
from adgraph.errors import DerivativeError
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph, Node
from adgraph.ir.op import Kind
from adgraph.ir.verify import verify
from adgraph.passes.parts import has_complex, parts
from adgraph.testing import adjoint_gap, assert_close, tolerance
from adgraph.transforms.jvp import jvp
from adgraph.transforms.vjp import vjp
from tests.op_table import REAL, ops_of_real_numbers
from tests.ops.laws import (
    COMPLEX,
    REAL_ROWS,
    REFUSED,
    STATED,
    cotangents,
    directions,
    forward,
    generator,
    law,
    program,
    reverse,
    traced,
    varies,
)
from tests.samples.sample import Sample


def test_every_op_computes_with_complex_numbers_or_refuses_them_as_numpy_does() -> None:
    computed = {node.op.name for row in COMPLEX for node in _nodes(*row) if _is_complex(node)}
    doubles = [row for row in REAL_ROWS if row[1] == "f8"]
    others = (n for row in doubles for n in _nodes(*row) if n.op.name not in computed)
    refusing = {node.op.name for node in others if _refuses(node)}
    assert ops_of_real_numbers(computed, refusing) == set()
    assert not computed & set(REAL)


def _nodes(sample: Sample, dtype: str) -> Iterator[Node]:
    graphs = [program(sample, dtype).graph]
    if varies(sample, dtype):
        graphs += [forward(sample.name, dtype), reverse(sample.name, dtype)]
    for graph in graphs:
        yield from nested(graph)


def _is_complex(node: Node) -> bool:
    return any(v.type.dtype.kind == "c" for v in (*node.inputs, *node.outputs))


@functools.cache
def _refuses(node: Node) -> bool:
    """Tell whether the evaluation of a node fails with complex numbers in place of floats."""
    if node.op.kind is not Kind.ELEMENTWISE or not any(v.type.inexact for v in node.inputs):
        return False
    args = (np.ones((), "c16" if v.type.inexact else v.type.dtype) for v in node.inputs)
    try:
        node.op.evaluate(*args, **node.attrs)
    except (TypeError, np.exceptions.ComplexWarning):  # which tells of parts that are dropped
        return True
    return False


@law(REFUSED, "refused")
def test_complex_numbers_that_numpy_refuses_are_refused(sample: Sample, dtype: str) -> None:
    with pytest.raises(TypeError):
        program(sample, dtype)


@law(STATED, "stated")
def test_complex_numbers_are_refused_where_the_table_says_so(sample: Sample, dtype: str) -> None:
    with pytest.raises(TypeError):
        program(sample, dtype)


@law([row for row in COMPLEX if row[0].differentiable and not varies(*row)], "derivatives")
def test_derivatives_that_are_not_complex_are_refused(sample: Sample, dtype: str) -> None:
    with pytest.raises(DerivativeError, match="of complex numbers"):
        forward(sample.name, dtype)


@law(COMPLEX, "parts")
def test_real_and_imaginary_parts_have_the_meaning_of_the_whole(sample: Sample, dtype: str) -> None:
    p = program(sample, dtype)
    _assert_parts(p.graph, p.arrays)
    if varies(sample, dtype):
        _assert_parts(forward(sample.name, dtype), (*p.arrays, *directions(p)))
        _assert_parts(reverse(sample.name, dtype), (*p.arrays, *cotangents(p)))


def _assert_parts(graph: Graph, arrays: Sequence[Any]) -> None:
    split = verify(parts(graph))
    assert not has_complex(split)
    for new, old in zip(evaluate(split, *arrays), evaluate(graph, *arrays), strict=True):
        assert_close(new, old, "rounded")


# --- complex numbers beside real ones -------------------------------------------------------------

MIXED = [row for row in COMPLEX if varies(*row) and len(program(*row).active) > 1]


@law(MIXED, "mixed")
def test_real_arguments_beside_complex_ones_have_real_gradients(sample: Sample, dtype: str) -> None:
    whole = program(sample, dtype)
    for chosen in whole.active:
        args = [
            x if i == chosen or i not in whole.active else np.real(x).copy()
            for i, x in enumerate(whole.arrays)
        ]
        p = traced(sample.function, tuple(args))
        ways, cts = directions(p), cotangents(p)
        count = len(p.graph.outputs)
        found = evaluate(verify(jvp(p.graph, p.active)), *p.arrays, *ways)[count:]
        dys = [found[i] for i in p.inexact_outputs]
        pulled = evaluate(verify(vjp(p.graph, p.active)), *p.arrays, *cts)[count:]
        assert [g.dtype for g in pulled] == [x.dtype for x in p.points]
        assert adjoint_gap(cts, dys, pulled, ways) <= tolerance("f8")


# --- single precision -----------------------------------------------------------------------------


@law([row for row in COMPLEX if "f4" in row[0].dtypes], "narrow")
def test_derivatives_of_single_precision_stay_single(sample: Sample, dtype: str) -> None:
    p = traced(sample.function, sample.arguments(generator(sample), "c8"))
    graphs = [p.graph]
    if varies(sample, dtype):
        graphs += [jvp(p.graph, p.active), vjp(p.graph, p.active)]
    if _is_wide(p.graph):
        pytest.skip("the program itself computes in double precision")
    assert not any(map(_is_wide, graphs))


def _is_wide(graph: Graph) -> bool:
    values = [*graph.inputs, *(v for node in nested(graph) for v in node.outputs)]
    return any(v.type.dtype in (np.float64, np.complex128) for v in values)
