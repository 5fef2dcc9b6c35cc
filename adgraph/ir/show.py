"""The text form of a graph: `show` prints it, `adgraph.ir.parse` reads it back.

    graph @energy(%x: f64[100], %k: f64[]) -> (f64[]) {
      %0: f64[99] = getitem[index=(1:100,)](%x)  # model.py:6
      ...
      return %4
    }

A node's programs follow it in braces. Constant arrays of more than 16 elements print as their
digest; `show(graph, data=True)` adds their bytes, so that the text stands alone.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from adgraph.ir.types import Constant, Slice, dtype_code

if TYPE_CHECKING:
    from adgraph.ir.graph import Graph, Node, Origin, Value

INLINE_ELEMENTS = 16


def show(graph: Graph, *, data: bool = False, canonical: bool = False) -> str:
    """Print a graph.

    `canonical` leaves out what does not change the computation: names and source lines.
    """
    lines = list(_graph_lines(graph, "", Names(canonical)))
    if data:
        lines.extend(_data_lines(graph))
    return "\n".join(lines)


def show_node(node: Node, names: Names | None = None) -> str:
    """Print one node, its programs left out."""
    names = names or Names(canonical=False)
    results = ", ".join(f"{names.of(v)}: {v.type}" for v in node.outputs)
    regions = tuple(map(id, node.regions()))
    plain = [(k, v) for k, v in node.attrs.items() if id(v) not in regions]
    attrs = ", ".join(f"{k}={show_attr(v)}" for k, v in plain)
    operands = ", ".join(map(names.of, node.inputs))
    left = f"{results} = " if results else ""
    return f"{left}{node.op.name}{f'[{attrs}]' if attrs else ''}({operands})"


def show_attr(value: Any) -> str:
    """Print an attribute."""
    match value:
        case tuple():
            return f"({', '.join(map(show_attr, value))}{',' if len(value) == 1 else ''})"
        case Constant():
            return _show_constant(value)
        case np.dtype():
            return dtype_code(value)
        case Slice():
            return str(value)
        case float() if not np.isfinite(value):
            return f"float({value})"
        case _:
            return repr(value)


class Names:
    """Names of values: the user's where they are free, numbers elsewhere."""

    def __init__(self, canonical: bool) -> None:
        self.canonical = canonical
        self._names: dict[Value, str] = {}
        self._taken: set[str] = set()
        self._count = 0

    def of(self, value: Value) -> str:
        """Return the name of a value, given at the first question."""
        if value not in self._names:
            self._names[value] = self._new(value)
        return self._names[value]

    def _new(self, value: Value) -> str:
        hint = None if self.canonical else value.name
        if hint is not None and hint not in self._taken:
            self._taken.add(hint)
            return f"%{hint}"
        self._count += 1
        return f"%{self._count - 1}"


def _graph_lines(graph: Graph, indent: str, names: Names) -> Iterator[str]:
    inputs = ", ".join(f"{names.of(v)}: {v.type}" for v in graph.inputs)
    types = ", ".join(str(v.type) for v in graph.outputs)
    name = "" if names.canonical else f"@{graph.name}"
    yield f"{indent}graph {name}({inputs}) -> ({types}) {{"
    for node in graph.nodes:
        yield from _node_lines(node, indent + "  ", names)
    returned = "".join(f" {name}" for name in [", ".join(map(names.of, graph.outputs))] if name)
    yield f"{indent}  return{returned}"
    yield f"{indent}}}"


def _node_lines(node: Node, indent: str, names: Names) -> Iterator[str]:
    comment = _show_origin(node.origin, names.canonical)
    programs = tuple(map(id, node.regions()))
    regions = [(k, v) for k, v in node.attrs.items() if id(v) in programs]
    line = f"{indent}{show_node(node, names)}{' {' if regions else ''}"
    yield f"{line}{f'  # {comment}' if comment else ''}"
    for key, region in regions:
        first, *rest = _graph_lines(region, indent + "  ", Names(names.canonical))
        yield f"{indent}  {key} = {first.lstrip()}"
        yield from rest
    if regions:
        yield f"{indent}}}"


def _show_origin(origin: Origin, canonical: bool) -> str:
    parts = []
    if origin.location is not None and not canonical:
        parts.append(str(origin.location))
    if origin.order and not canonical:
        parts.append(f"order={origin.order}")
    if origin.scope is not None:
        parts.append(f"scope={origin.scope}")
    return " ".join(parts)


def _show_constant(constant: Constant) -> str:
    array = constant.array
    if array.size > INLINE_ELEMENTS:
        return f"array({constant.digest})"
    return show_attr_list(array.tolist())


def show_attr_list(value: Any) -> str:
    """Print nested lists of numbers so that they read back exactly."""
    if isinstance(value, list):
        return f"[{', '.join(map(show_attr_list, value))}]"
    if isinstance(value, complex):
        return f"complex({show_attr(value.real)}, {show_attr(value.imag)})"
    return show_attr(value)


def _data_lines(graph: Graph) -> Iterator[str]:
    for digest, constant in graph.constants().items():
        if constant.array.size > INLINE_ELEMENTS:
            payload = base64.b64encode(constant.array.tobytes()).decode()
            yield f"array {digest} = {payload}"
