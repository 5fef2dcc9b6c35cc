"""What the tests of laws share: the rows of the table, traced once, and their derivatives.

`ROWS` are the rows with a dtype, `FLOAT_ROWS` those that have derivatives; complex numbers (`c16`)
are tried on every row, but for those which refuse them. `law` makes a test of a law over rows.
"""

from __future__ import annotations

import copy
import functools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.prune import prune
from adgraph.testing import direction
from adgraph.tracing.trace import Trace, abstract, is_array, trace_function
from adgraph.tracing.tree import Structure, flatten
from adgraph.transforms.jvp import jvp
from adgraph.transforms.vjp import vjp
from tests.op_table import SAMPLES, numpy_refuses_complex
from tests.samples.sample import Sample

Array = np.ndarray[Any, Any]
Row = tuple[Sample, str]


def of_complex(name: str) -> str:
    """Return what `Sample.skip` calls a law that only complex numbers break."""
    return f"{name} of complex"


def varies(sample: Sample, dtype: str) -> bool:
    """Tell whether a row has derivatives."""
    scaled = dtype == "c16" and of_complex("derivatives") in sample.skip
    return sample.differentiable and not scaled


REAL_ROWS = [(sample, dtype) for sample in SAMPLES for dtype in sample.dtypes]
REFUSED = [(sample, "c16") for sample in SAMPLES if numpy_refuses_complex(sample.name)]
STATED = [(sample, "c16") for sample in SAMPLES if sample.real]
COMPLEX = [
    (sample, "c16") for sample in SAMPLES if not sample.real and (sample, "c16") not in REFUSED
]
ROWS = REAL_ROWS + COMPLEX
FLOAT_ROWS = [row for row in ROWS if varies(*row)]
DOUBLE_ROWS = [(sample, dtype) for sample, dtype in FLOAT_ROWS if dtype in ("f8", "c16")]
REAL_DOUBLE_ROWS = [row for row in DOUBLE_ROWS if row[1] == "f8"]
LAWS = (
    *("table", "value", "weak", "verify", "text", "errors", "narrow", "sizes", "complex step"),
    *("difference", "adjoint", "narrow value", "zero", "second order", "batch"),
    *("refused", "stated", "derivatives", "parts", "mixed"),
)


def law(rows: Sequence[Row], name: str) -> Any:
    """Try a test on rows; its name is what `Sample.skip` calls it."""
    assert name in LAWS
    kept = [row for row in rows if not _left_out(name, *row)]
    names = [f"{sample.name}-{dtype}" for sample, dtype in kept]
    return pytest.mark.parametrize(("sample", "dtype"), kept, ids=names)


def _left_out(name: str, sample: Sample, dtype: str) -> bool:
    return name in sample.skip or (dtype == "c16" and of_complex(name) in sample.skip)


@dataclass(frozen=True)
class Program:
    """A row traced at its arguments."""

    args: tuple[Any, ...]
    structure: Structure
    leaves: tuple[Any, ...]
    traced: tuple[int, ...]  # which leaves are inputs of the graph
    trace: Trace

    @functools.cached_property
    def graph(self) -> Graph:
        return prune(self.trace.graph)

    @property
    def arrays(self) -> tuple[Any, ...]:
        return tuple(self.leaves[i] for i in self.traced)

    @property
    def active(self) -> tuple[int, ...]:
        return tuple(i for i, v in enumerate(self.graph.inputs) if v.type.inexact)

    @property
    def points(self) -> tuple[Any, ...]:
        return tuple(self.arrays[i] for i in self.active)

    @property
    def inexact_outputs(self) -> tuple[int, ...]:
        return tuple(i for i, v in enumerate(self.graph.outputs) if v.type.inexact)


def traced(function: Callable[..., Any], args: tuple[Any, ...]) -> Program:
    leaves, structure = flatten((args, {}))
    trace = trace_function(function, structure, [abstract(x) for x in leaves])
    inputs = tuple(i for i, x in enumerate(leaves) if is_array(x))
    return Program(args, structure, tuple(leaves), inputs, trace)


def generator(sample: Sample) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(sample.name.encode()))


@functools.cache
def _program(name: str, dtype: str) -> Program:
    sample = next(s for s in SAMPLES if s.name == name)
    return traced(sample.function, sample.arguments(generator(sample), dtype))


def program(sample: Sample, dtype: str) -> Program:
    return _program(sample.name, dtype)


@functools.cache
def forward(name: str, dtype: str) -> Graph:
    p = _program(name, dtype)
    return jvp(p.graph, p.active)


@functools.cache
def reverse(name: str, dtype: str) -> Graph:
    p = _program(name, dtype)
    return vjp(p.graph, p.active)


def called(sample: Sample, args: tuple[Any, ...]) -> list[Any]:
    """Return the leaves of what NumPy computes, then the arguments that it has written."""
    own = copy.deepcopy(args)
    with np.errstate(all="ignore"):
        results = flatten(sample.function(*own))[0]
    return [*results, *flatten((own, {}))[0]]


def expected(sample: Sample, p: Program) -> list[Any]:
    """Return what the outputs of the graph must be."""
    leaves = called(sample, p.args)
    count = len(leaves) - len(p.leaves)
    written = [leaves[count + p.traced[i]] for i in p.trace.written]
    return [*leaves[:count], *written]


def directions(p: Program) -> tuple[Array, ...]:
    rng = np.random.default_rng(7)
    return tuple(direction(x, rng) for x in p.points)


def cotangents(p: Program) -> tuple[Array, ...]:
    rng = np.random.default_rng(8)
    types = [p.graph.outputs[i].type for i in p.inexact_outputs]
    return tuple(direction(np.empty(t.shape, t.dtype), rng) for t in types)


def tangents(sample: Sample, dtype: str, ways: Sequence[Array] | None = None) -> list[Array]:
    """Return the forward derivative of the inexact outputs."""
    p = program(sample, dtype)
    results = evaluate(forward(sample.name, dtype), *p.arrays, *(ways or directions(p)))
    dys = results[len(p.graph.outputs) :]
    return [dys[i] for i in p.inexact_outputs]


def gradients(sample: Sample, dtype: str) -> tuple[Array, ...]:
    p = program(sample, dtype)
    results = evaluate(reverse(sample.name, dtype), *p.arrays, *cotangents(p))
    return results[len(p.graph.outputs) :]
