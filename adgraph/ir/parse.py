"""Read the text form of a graph back: the inverse of `adgraph.ir.show.show`.

`parse` takes a text, and the arrays its constants name unless the text carries their bytes.
"""

from __future__ import annotations

import ast
import base64
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from adgraph.errors import GraphError, Location
from adgraph.ir.dims import Dim, Symbol, loop_bounds, symbol_dim
from adgraph.ir.graph import Graph, Node, Origin, Scope, Value
from adgraph.ir.op import OPS, Kind
from adgraph.ir.types import ArrayType, Constant, Slice, dtype_of_code

_HEADER = re.compile(r"(?:(\w+) = )?graph (?:@(\S+))?\((.*)\) -> \((.*)\) \{")
_DIMS = r"[-+*\w,]*"
_VALUE = re.compile(rf"(%[\w.]+): ((?:bool|[fciu]\d+)\[{_DIMS}\])")
_NODE = re.compile(r"(?:(.*?) = )?(\w+)(?:\[(.*)\])?\(([^()]*)\)( \{)?")
_SLICE = re.compile(r"(?<![\w.'+*-])([-+*\w]+):([-+*\w]+)(?::(-?\d+))?")
_TYPE = re.compile(rf"(bool|[fciu]\d+)\[({_DIMS})\]")
_DIGEST = re.compile(r"\barray\((\w+)\)")
_DTYPE_CODE = re.compile(r"\b(bool|[fciu](?:8|16|32|64|128))\b(?!')")


def parse(text: str, constants: Mapping[str, Constant] | None = None) -> Graph:
    """Read a graph from its text.

    `constants` maps digests to arrays (see `Graph.constants`); a text printed with `data=True`
    needs none.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    data = dict(line[6:].split(" = ", 1) for line in lines if line.startswith("array "))
    reader = _Reader([x for x in lines if not x.startswith("array ")], data, constants or {})
    return reader.graph()[1]


class _Reader:
    """A position in the lines of a text, with the values named so far."""

    def __init__(
        self, lines: list[str], data: dict[str, str], constants: Mapping[str, Constant]
    ) -> None:
        self._lines = lines
        self._at = 0
        self._data = data
        self._constants = constants
        self._symbols: dict[str, Symbol] = {}

    def _next(self) -> str:
        if self._at == len(self._lines):
            raise GraphError("the text of the graph ends before its closing brace")
        self._at += 1
        return self._lines[self._at - 1].strip()

    def graph(self) -> tuple[str | None, Graph]:
        """Read a graph and the key it has as an attribute, if it is a region."""
        header = _HEADER.fullmatch(self._next())
        if header is None:
            raise GraphError(f"not the head of a graph: {self._lines[self._at - 1].strip()}")
        values: dict[str, Value] = {}
        inputs = tuple(
            _define(values, name, self._type(type)) for name, type in _VALUE.findall(header[3])
        )
        nodes = []
        while not (line := self._next()).startswith("return"):
            nodes.append(self._node(line, values))
        if self._next() != "}":
            raise GraphError("a closing brace must follow the return of a graph")
        outputs = tuple(values[n.strip()] for n in line[6:].split(",") if n.strip())
        return header[1], Graph(inputs, tuple(nodes), outputs, header[2] or "main")

    def _node(self, line: str, values: dict[str, Value]) -> Node:
        body, _, comment = line.partition("  # ")
        match = _NODE.fullmatch(body)
        if match is None or match[2] not in OPS:
            raise GraphError(f"not a node: {line}")
        declared = [(name, self._type(text)) for name, text in _VALUE.findall(match[1] or "")]
        op = OPS[match[2]]
        attrs = self._attrs(match[3] or "", declared)
        if op.kind is Kind.CONSTANT:
            attrs = {key: _constant(value, declared[0][1]) for key, value in attrs.items()}
        if match[5]:
            attrs.update(self._regions())
        inputs = tuple(values[n.strip()] for n in match[4].split(",") if n.strip())
        outputs = tuple(_define(values, name, type) for name, type in declared)
        return Node(op, inputs, outputs, attrs, _origin(comment))

    def _regions(self) -> dict[str, Graph]:
        regions = {}
        while self._lines[self._at].strip() != "}":
            key, region = self.graph()
            regions[key or "body"] = region
        self._next()
        return regions

    def _attrs(self, text: str, declared: list[tuple[str, ArrayType]]) -> dict[str, Any]:
        if not text:
            return {}
        source = _SLICE.sub(_slice_call, text)
        source = _DTYPE_CODE.sub(r"dtype('\1')", source)
        source = _DIGEST.sub(r"array('\1')", source)  # a digest may begin as a number does
        call = ast.parse(f"attrs({source})", mode="eval").body
        assert isinstance(call, ast.Call)
        trees = {k.arg or "": k.value for k in call.keywords}
        attrs = {k: self._value(t, declared) for k, t in trees.items() if k != "symbol"}
        match trees.get("symbol"):
            case ast.Name(id=name):
                bound = self._bind(name, attrs)
                return {key: bound if key == "symbol" else attrs[key] for key in trees}
        return attrs

    def _bind(self, name: str, attrs: Mapping[str, Any]) -> Symbol:
        """Return the symbol of a loop, with the bounds that its attributes imply."""
        if name not in self._symbols:
            self._symbols[name] = Symbol(name, *_bounds(attrs))
        return self._symbols[name]

    def _type(self, text: str) -> ArrayType:
        match = _TYPE.fullmatch(text)
        if match is None:
            raise GraphError(f"not a type: {text}")
        extents = (self._dim(ast.parse(n, mode="eval").body) for n in match[2].split(",") if n)
        return ArrayType(dtype_of_code(match[1]), tuple(extents))

    def _dim(self, tree: ast.expr) -> Dim:
        match tree:
            case ast.Name(id=name) if name in self._symbols:
                return symbol_dim(self._symbols[name])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._dim(left) + self._dim(right)
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return self._dim(left) - self._dim(right)
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return self._dim(left) * self._dim(right)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._dim(operand)
            case ast.Constant(value=int(number)):
                return number
            case _:
                raise GraphError(f"not an extent or a position: {ast.unparse(tree)}")

    def _value(self, tree: ast.expr, declared: list[tuple[str, ArrayType]]) -> Any:
        match tree:
            case ast.Tuple():
                return tuple(self._value(item, declared) for item in tree.elts)
            case ast.Call(func=ast.Name(id="array")):
                return self._array(ast.literal_eval(tree.args[0]), declared[0][1])
            case ast.Call(func=ast.Name(id="dtype")):
                return dtype_of_code(ast.literal_eval(tree.args[0]))
            case ast.Call(func=ast.Name(id="span")):
                return _span(*map(self._dim, tree.args))
            case ast.Name() | ast.BinOp() | ast.UnaryOp(operand=ast.Name() | ast.BinOp()):
                return self._dim(tree)
            case _:
                return _number(tree)

    def _array(self, digest: str, type: ArrayType) -> Constant:
        if digest in self._data:
            raw = base64.b64decode(self._data[digest])
            return Constant.of(np.frombuffer(raw, type.dtype).reshape(type.shape))
        if digest not in self._constants:
            raise GraphError(
                f"the text names the array {digest} and does not hold it; print the graph with "
                "show(graph, data=True), or pass parse(text, graph.constants())"
            )
        return self._constants[digest]


def _constant(value: Any, type: ArrayType) -> Constant:
    if isinstance(value, Constant):
        return value
    return Constant.of(np.array(value, type.dtype).reshape(type.shape))


def _number(tree: ast.expr) -> Any:
    match tree:
        case ast.List():
            return [_number(item) for item in tree.elts]
        case ast.Call(func=ast.Name(id="float")):
            return float(ast.unparse(tree.args[0]))
        case ast.Call(func=ast.Name(id="complex")):
            return complex(_number(tree.args[0]), _number(tree.args[1]))
        case _:
            return ast.literal_eval(tree)


def _slice_call(match: re.Match[str]) -> str:
    return f"span({match[1]}, {match[2]}, {match[3] or 1})"


def _span(start: Dim, stop: Dim, step: Dim) -> Slice:
    assert isinstance(step, int)
    return Slice(start, (stop - start) // step, step)


def _bounds(attrs: Mapping[str, Any]) -> tuple[Dim | None, Dim | None]:
    if "trips" in attrs:
        return loop_bounds(attrs["start"], attrs["trips"], attrs["step"])
    capacity = attrs.get("capacity")
    return 0, None if capacity is None else capacity - 1


def _define(values: dict[str, Value], name: str, type: ArrayType) -> Value:
    if name in values:
        raise GraphError(f"the value {name} is defined twice")
    plain = name[1:]
    values[name] = Value(type, None if plain.isdigit() else plain)
    return values[name]


def _origin(comment: str) -> Origin:
    location, order = None, 0
    scope: Scope | None = None
    for part in comment.split():
        if part.startswith("order="):
            order = int(part[6:])
        elif part.startswith("scope="):
            for name in part[6:].split("/"):
                scope = Scope(name, outer=scope)
        else:
            file, _, line = part.rpartition(":")
            location = Location(file, int(line))
    return Origin(location, order, scope)
