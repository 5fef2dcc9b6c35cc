"""The direct way from the arguments of one signature to its program and back.

`direct_call` writes a Python function that takes the arguments apart, checks what is static, calls
the program on the leaves, and puts the results together; where arguments and results are flat it is
the native function itself. Every check that fails gives `OTHERWISE`.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import types
from collections.abc import Sequence
from typing import Any

import numpy as np

from adgraph.analysis.cost import node_cost
from adgraph.ir.code import Control
from adgraph.ir.graph import Graph
from adgraph.runtime.calls import (
    NOTHING,
    OTHERWISE,
    Item,
    NativeCall,
    argument_item,
    native_call,
    result_item,
)
from adgraph.runtime.compiled import Compiled
from adgraph.tracing.trace import Abstract, Static, Trace
from adgraph.tracing.tree import LEAF, Branch, Leaf, Statements, Structure

LONG_SECONDS = 20e-6  # a program estimated longer runs without the GIL, which costs 25 ns


def direct_call(
    structure: Structure, leaves: Sequence[Abstract | Static], trace: Trace, compiled: Compiled
) -> NativeCall | None:
    """Return the direct call of a program; None if its calls need Python.

    That is so if it writes into its arguments, or if no quick check tells that a static argument
    is still the same.
    """
    if trace.written or trace.separate:
        return None
    program = compiled.program
    arguments = [
        argument_item(x.type, x.weak, box=x.box, turned=x.turned)
        for x in leaves
        if isinstance(x, Abstract)
    ]
    results = [result_item(t, w) for t, w in zip(program.results, trace.weak, strict=True)]
    if not _all_described(arguments) or not _all_described(results):
        return None
    if not all(_comparable(x.value) for x in leaves if isinstance(x, Static)):
        return None
    native = native_call(
        compiled,
        [item for item in arguments if item],
        [item for item in results if item],
        packed=trace.result is not LEAF or bool(trace.static),
        releases=is_long(program.graph),
        copies=not trace.order_matters,
    )
    if native is None:
        return None
    return _written_out(structure, leaves, trace, native)


def _all_described(items: Sequence[Item | None]) -> bool:
    return all(item is not None for item in items)


def is_long(graph: Graph) -> bool:
    """Tell whether a program may take so long that other threads should run meanwhile."""
    seconds = itertools.accumulate(node_cost(node).seconds for node in graph.nodes)
    return _of_unknown_length(graph) or any(total > LONG_SECONDS for total in seconds)


def _of_unknown_length(graph: Graph) -> bool:
    return any(
        (isinstance(n.op.code, Control) and "capacity" in n.attrs)
        or any(map(_of_unknown_length, n.regions()))
        for n in graph.nodes
    )


# --- the function's text -------------------------------------------------------------------------


def _written_out(
    structure: Structure,
    leaves: Sequence[Abstract | Static],
    trace: Trace,
    native: NativeCall,
) -> NativeCall:
    assert isinstance(structure, Branch)
    positional, named = structure.children
    assert isinstance(positional, Branch)
    assert isinstance(named, Branch)
    flat = not named.keys and all(isinstance(x, Abstract) for x in leaves)
    flat = flat and all(isinstance(child, Leaf) for child in positional.children)
    if flat and _is_packed(trace):
        return native
    text = Statements({"otherwise": OTHERWISE, "native": native, "nothing": NOTHING})
    if flat:
        text.add("found = native(args, kwargs)")
    else:
        found = text.take_apart(positional, "args", "otherwise") + _take_named(text, named)
        inputs = [x for x, leaf in zip(found, leaves, strict=True) if isinstance(leaf, Abstract)]
        for i, (name, leaf) in enumerate(zip(found, leaves, strict=True)):
            if isinstance(leaf, Static):
                _check_static(text, name, leaf, f"static_{i}")
        text.add(f"found = native(({''.join(f'{x}, ' for x in inputs)}), nothing)")
    text.refuse("found is otherwise", "found")
    text.add(f"return {_put_together(text, trace)}")
    return text.function("call(args, kwargs)")


def _is_packed(trace: Trace) -> bool:
    """Whether the tuple or object that the native function gives is the result."""
    result = trace.result
    if isinstance(result, Leaf):
        return not trace.static
    flat = all(isinstance(child, Leaf) for child in result.children)
    return result.type is tuple and flat and not trace.static


def _take_named(text: Statements, named: Branch) -> list[str]:
    """Name the leaves of the arguments given by name, which come in any order."""
    text.refuse(f"len(kwargs) != {len(named.keys)}", "otherwise")
    found = []
    for i, (key, child) in enumerate(zip(named.keys, named.children, strict=True)):
        text.add(f"named_{i} = kwargs.get({key!r}, otherwise)")
        found += text.take_apart(child, f"named_{i}", "otherwise")
    return found


def _put_together(text: Statements, trace: Trace) -> str:
    if _is_packed(trace):
        return "found"
    names = [f"result_{i}" for i in range(len(trace.weak))]
    if names and trace.result is not LEAF:
        text.add(f"{''.join(f'{name}, ' for name in names)}= found")
    for i, (position, leaf) in enumerate(trace.static):
        names.insert(position, text.name(f"kept_{i}", leaf.value))
    return text.put_together(trace.result, "made", iter(names))


# --- static arguments ----------------------------------------------------------------------------

# A value of these is not another one later; those of the first are found equal by `==`.
_EXACT = (str, bytes, int, bool)
_VALUES = (*_EXACT, float, complex)
_SINGLE = (types.NoneType, types.EllipsisType, types.BuiltinFunctionType, type, enum.Enum)


def _check_static(text: Statements, name: str, leaf: Static, key: str) -> None:
    value = text.name(key, leaf.value)
    if type(leaf.value) in _EXACT:
        kind = text.name(f"kind_{key}", type(leaf.value))
        text.refuse(f"type({name}) is not {kind} or {name} != {value}", "otherwise")
    elif _is_single(leaf.value):
        text.refuse(f"{name} is not {value}", "otherwise")
    else:
        expected = text.name(f"expected_{key}", leaf)
        same = text.name("same_static", _same_static)
        text.refuse(f"{name} is not {value} and not {same}({name}, {expected})", "otherwise")


def _same_static(value: Any, expected: Static) -> bool:
    return type(value) is type(expected.value) and Static.of(value) == expected


def _is_single(value: Any) -> bool:
    """Whether a value equals nothing but itself, whatever is written into it."""
    return isinstance(value, _SINGLE) or _comparison(type(value)) == _comparison(object)


def _comparison(kind: type) -> tuple[Any, Any]:
    return kind.__hash__, kind.__eq__


def _comparable(value: Any) -> bool:
    """Whether it can be told in a call that a static argument is what it was."""
    if _is_single(value):
        return True
    if type(value) in (tuple, frozenset):
        return all(map(_comparable, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        frozen: bool = type(value).__dataclass_params__.frozen  # type: ignore[attr-defined]
        parts = (getattr(value, f.name) for f in dataclasses.fields(value))
        return frozen and all(map(_comparable, parts))
    return type(value) in _VALUES or isinstance(value, np.dtype)
