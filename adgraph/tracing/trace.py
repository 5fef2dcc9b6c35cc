"""Trace a Python function into a graph.

`trace_function(f, args, kwargs)` takes tracers, arrays or `ArrayType`s at the leaves of its
arguments and returns a `Trace`: the graph, the structure of the results, and which arguments the
function has written. Whatever is no number or array is static.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.errors import AdgraphError, DtypeError, TracingError, location_of, locations, message
from adgraph.ir.builder import Builder
from adgraph.ir.dims import UndecidedError
from adgraph.ir.graph import Graph, Value
from adgraph.ir.op import type_of
from adgraph.ir.types import ArrayType
from adgraph.tracing.forms import made_at
from adgraph.tracing.frames import building, explained, top
from adgraph.tracing.hooks import rewritten
from adgraph.tracing.masked import Masked, described, escape
from adgraph.tracing.outside import held_arrays
from adgraph.tracing.tracer import (
    SUPPORTED_KINDS,
    PythonNumber,
    Tracer,
    as_tracer,
    read,
    refuse_subclass,
    tracer,
    weak_type,
)
from adgraph.tracing.tree import Structure, flatten, register_leaf, unflatten


@dataclass(frozen=True, slots=True)
class Abstract:
    """What a trace knows of an argument: its type, and whether it is a Python number.

    `box` marks an array without axes: unlike a scalar it can be written in place. `turned` marks
    an array in Fortran order: its memory is that of its transpose in C order.
    """

    type: ArrayType
    weak: PythonNumber | None = None
    box: bool = False
    turned: bool = False


register_leaf(Abstract)
register_leaf(ArrayType)


@dataclass(frozen=True, slots=True)
class Static:
    """An argument, or a result, that is part of the program: it compares by type and value."""

    value: Any
    kind: Any

    @staticmethod
    def of(value: Any) -> Static:
        """Wrap a value; equal numbers of different types are different programs."""
        return Static(value, _kind(value))


def _kind(value: Any) -> Any:
    """What tells equal values apart: their types, and the sign of zero."""
    if type(value) is tuple:
        return tuple(map(_kind, value))
    return (float, str(value)) if type(value) is float else type(value)


register_leaf(Static)


@dataclass(frozen=True)
class Trace:
    """A traced function.

    The graph's inputs are the leaves, then captured outer values; its outputs are the leaves of the
    result, then the final values of the written arguments (numbered in `written`). `static` holds
    the leaves of the result that are no arrays, by position. Where `order_matters`, the program is
    that of arguments in C order only. The inputs of each pair in `separate`, of which the first is
    written, here or in the subject of a derivative, must not share memory.
    """

    graph: Graph
    result: Structure
    weak: tuple[PythonNumber | None, ...]
    written: tuple[int, ...]
    captured: tuple[Value, ...]
    static: tuple[tuple[int, Static], ...]
    notes: tuple[str, ...]
    order_matters: bool
    separate: tuple[tuple[int, int], ...]

    @property
    def places(self) -> tuple[int, ...]:
        """The positions of the arrays among the leaves of the result."""
        taken = {position for position, _ in self.static}
        count = len(self.weak) + len(taken)
        return tuple(i for i in range(count) if i not in taken)

    def with_static(self, arrays: Sequence[Any]) -> list[Any]:
        """Put the static leaves between the arrays of a result."""
        leaves = list(arrays)
        for position, leaf in self.static:
            leaves.insert(position, leaf.value)
        return leaves


def is_array(x: Any) -> bool:
    """Tell whether a leaf is traced, rather than static."""
    if isinstance(x, (Tracer, np.ndarray, np.generic)):
        return True
    return type(x) in (int, float, complex)


def abstract(x: Any, name: str = "an argument") -> Abstract | Static:
    """Describe a leaf of the arguments."""
    if isinstance(x, (Abstract, Static)):
        return x
    if isinstance(x, ArrayType):
        return Abstract(x)
    if not is_array(x):
        return static(x, name)
    refuse_subclass(x, name)
    type = type_of(x)
    if type.dtype.kind not in SUPPORTED_KINDS:
        raise DtypeError(
            message(
                f"{name} is {_described(type)}",
                "supported are bool, integers, float32 and float64; a ragged list of lists has no "
                "numeric dtype, nor has an integer beyond 64 bits",
                "convert it with np.asarray(x, dtype=float), or pad ragged rows",
            )
        )
    if type.dtype.kind in "fc" and type.dtype.char not in "fdFD":
        raise DtypeError(
            message(
                f"{name} is {_described(type)}",
                "there are kernels for float32 and float64",
                "convert it with x.astype(np.float64)",
            )
        )
    box = not type.shape and (x.writable if isinstance(x, Tracer) else isinstance(x, np.ndarray))
    turned = isinstance(x, np.ndarray) and x.flags.fnc
    return Abstract(ArrayType(type.dtype.newbyteorder("="), type.shape), weak_type(x), box, turned)


def _described(type: ArrayType) -> str:
    return f"an array of dtype {type.dtype} and shape {type.shape}"


def static(x: Any, name: str) -> Static:
    """Make an argument part of the program."""
    if isinstance(x, Static):
        return x
    if type(x).__module__.startswith(("numpy.random", "random")):
        raise TracingError(
            message(
                f"{name} is a {type(x).__name__}, a source of random numbers",
                "the function is traced once, so that its draws would be the same in every call",
                "pass the numbers, f(x, rng.normal(size=n)), or a key of adgraph.random",
            )
        )
    try:
        hash(x)
    except TypeError:
        raise TracingError(
            message(
                f"{name} is static, and a {type(x).__name__} has no hash",
                "an argument that is no array, or is marked static, is part of the program, and "
                "programs are kept by the values of their static arguments",
                "pass NumPy arrays (np.asarray(x) of another library's) or numbers, not marked "
                "static, or hashable values such as strings and tuples",
            )
        ) from None
    return Static.of(x)


def trace_function(
    function: Callable[..., Any],
    structure: Structure,
    leaves: Sequence[Abstract | Static],
    names: Sequence[str | None] = (),
    *,
    nested: bool = False,
) -> Trace:
    """Record a function. `structure` holds `(args, kwargs)`."""
    with building(nested=nested) as builder:
        arguments: list[Any] = []
        tracers: list[Tracer] = []
        for i, leaf in enumerate(leaves):
            if isinstance(leaf, Static):
                arguments.append(leaf.value)
                continue
            name = names[i] if i < len(names) else None
            tracers.append(tracer(builder.input(leaf.type, name), leaf.weak))
            tracers[-1].writable |= leaf.box
            arguments.append(tracers[-1])
        top().outside |= held_arrays(function)
        entry = [t.cell.value for t in tracers]
        args, kwargs = unflatten(structure, arguments)
        try:
            returned = rewritten(function, tuple(arguments))(*args, **kwargs)
        except NameError as error:
            raise explained(error) from None
        except RecursionError as error:
            raise _endless(error) from None
        except UndecidedError as error:
            raise error if nested else _undecided(error) from None
        results, result = flatten(returned)
        static = tuple((i, x) for i, x in enumerate(results) if isinstance(x, Static))
        outputs = [_output(x) for x in results if not isinstance(x, Static)]
        written = tuple(i for i, t in enumerate(tracers) if t.cell.value is not entry[i])
        values = [read(x) for x in (*outputs, *(tracers[i] for i in written))]
        graph = builder.build(values, getattr(function, "__name__", "main"))
    return Trace(
        graph,
        result,
        tuple(x.weak for x in outputs),
        written,
        tuple(builder.captures),
        static,
        tuple(builder.notes),
        builder.order_matters,
        _separate(builder, written, len(tracers)),
    )


def _endless(error: RecursionError) -> TracingError:
    """Name the line of the user's that an endless recursion goes through most often."""
    lines = Counter(locations(error))
    return TracingError(
        message(
            "a function calls itself without end while it is traced",
            "a branch on traced values records both sides, so what would end the recursion does "
            "not; or Python's limit is lower than the recursion is deep",
            "write a while loop, or make what the recursion depends on a static argument "
            "(trace(static_argnums=...))",
            max(lines, key=lines.__getitem__, default=None),
        )
    )


def _undecided(error: UndecidedError) -> AdgraphError:
    """Word the error for a question that no splitting of a loop answers."""
    return TracingError(
        message(
            f"the form of the program changes from trip to trip of a loop: {error}",
            "an extent, a slice or a list depends on a loop index in a way that is not the same "
            "function of it in all trips, and the loop could neither be split nor written out",
            "keep the index between bounds that are known (k = min(k, n)), loop over elements, "
            "or select with np.where",
            location_of(error),
        )
    )


def _separate(
    builder: Builder, written: Sequence[int], arguments: int
) -> tuple[tuple[int, int], ...]:
    """Return the pairs of inputs that must not share memory."""
    numbers = {value: i for i, value in enumerate(builder.inputs)}
    own = [(i, j) for i in written for j in range(arguments) if i != j]
    noted = [(numbers[a], numbers[b]) for a, b in builder.separate if {a, b} <= numbers.keys()]
    return tuple(dict.fromkeys([*own, *noted]))


def _output(x: Any) -> Tracer:
    if isinstance(x, Tracer):
        return x
    if isinstance(x, Masked):
        raise escape(f"the traced function returned {described(x)}", made_at(x.mask))
    if not is_array(x) and type(x) is not bool:
        raise TracingError(
            message(
                f"the traced function returned a {type(x).__name__}",
                "a program returns arrays and numbers, in tuples, lists, dicts, namedtuples or "
                "dataclasses",
            )
        )
    result = as_tracer(x)
    result.weak = weak_type(x)
    return result
