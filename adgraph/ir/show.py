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
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from adgraph.ir.dims import Affine, Symbol, show_dim
from adgraph.ir.types import ArrayType, Constant, Slice, dtype_code

if TYPE_CHECKING:
    from adgraph.ir.graph import Graph, Node, Origin, Value

INLINE_ELEMENTS = 16


def show(
    graph: Graph,
    *,
    data: bool = False,
    canonical: bool = False,
    symbols: dict[Symbol, str] | None = None,
) -> str:
    """Print a graph.

    `canonical` leaves out what does not change the computation: names and source lines. The names
    of loop indices are taken from `symbols`, and entered there.
    """
    lines = list(_graph_lines(graph, "", Names(canonical, symbols)))
    if data:
        lines.extend(_data_lines(graph))
    return "\n".join(lines)


def show_node(node: Node, names: Names | None = None) -> str:
    """Print one node, its programs left out."""
    names = names or Names(canonical=False)
    results = ", ".join(map(names.typed, node.outputs))
    regions = tuple(map(id, node.regions()))
    plain = [(k, v) for k, v in node.attrs.items() if id(v) not in regions]
    attrs = ", ".join(f"{k}={show_attr(v, names.symbol)}" for k, v in plain)
    operands = ", ".join(map(names.of, node.inputs))
    left = f"{results} = " if results else ""
    return f"{left}{node.op.name}{f'[{attrs}]' if attrs else ''}({operands})"


def _plain_name(symbol: Symbol) -> str:
    return symbol.name


def show_attr(value: Any, name: Callable[[Symbol], str] = _plain_name) -> str:
    """Print an attribute; `name` gives the names of loop indices."""
    match value:
        case tuple():
            items = ", ".join(show_attr(item, name) for item in value)
            return f"({items}{',' if len(value) == 1 else ''})"
        case Affine():
            return show_dim(value, name)
        case Symbol():
            return name(value)
        case Constant():
            return _show_constant(value)
        case np.dtype():
            return dtype_code(value)
        case Slice():
            stop = value.start + value.size * value.step
            step = "" if value.step == 1 else f":{value.step}"
            return f"{show_dim(value.start, name)}:{show_dim(stop, name)}{step}"
        case float() if not np.isfinite(value):
            return f"float({value})"
        case _:
            return repr(value)


def show_type(type: ArrayType, name: Callable[[Symbol], str]) -> str:
    """Print a type; `name` gives the names of loop indices."""
    extents = ",".join(show_dim(n, name) for n in type.shape)
    return f"{dtype_code(type.dtype)}[{extents}]"


class Names:
    """Names of values: the user's where they are free, numbers elsewhere.

    The names of loop indices are shared by a program and those inside it.
    """

    def __init__(self, canonical: bool, symbols: dict[Symbol, str] | None = None) -> None:
        self.canonical = canonical
        self.symbols: dict[Symbol, str] = {} if symbols is None else symbols
        self._names: dict[Value, str] = {}
        self._taken: set[str] = set()
        self._count = 0

    def inside(self) -> Names:
        """Return the names for a region."""
        return Names(self.canonical, self.symbols)

    def symbol(self, symbol: Symbol) -> str:
        """Return the name of a loop index, given at the first question."""
        if symbol not in self.symbols:
            hint = "s" if self.canonical else symbol.name
            taken = set(self.symbols.values())
            numbered = (f"{hint}_{n}" for n in itertools.count(1))
            free = (n for n in itertools.chain([hint], numbered) if n not in taken)
            self.symbols[symbol] = next(free)
        return self.symbols[symbol]

    def typed(self, value: Value) -> str:
        """Return the name of a value with its type."""
        return f"{self.of(value)}: {show_type(value.type, self.symbol)}"

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
    inputs = ", ".join(map(names.typed, graph.inputs))
    types = ", ".join(show_type(v.type, names.symbol) for v in graph.outputs)
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
        first, *rest = _graph_lines(region, indent + "  ", names.inside())
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
