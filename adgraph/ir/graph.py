"""Values, nodes and graphs: a program is an immutable, ordered tuple of nodes.

Values compare by identity; a node lists its operands before its results, and nodes stand in an
order in which they can be computed. Begin with `Graph`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from adgraph.errors import Location
from adgraph.ir.dims import Affine, Symbol
from adgraph.ir.op import Op, Types
from adgraph.ir.show import show
from adgraph.ir.types import ArrayType, Constant, Slice

# How a graph is drawn; `adgraph.draw`, a layer far above, enters itself here.
RENDERERS: dict[str, Callable[..., Any]] = {}


class Value:
    """One array of a program: a type and, for people, perhaps a name."""

    __slots__ = ("name", "type")

    def __init__(self, type: ArrayType, name: str | None = None) -> None:
        self.type = type
        self.name = name

    def __repr__(self) -> str:
        return f"<value {self.name or ''}: {self.type}>"


# Tells whether a checkpoint keeps what an op computes: the op, the types of its operands, and the
# names that the user gave the result.
Policy = Callable[[Op, Types, frozenset[str]], bool]


def nothing_saveable(op: Op, types: Types, names: frozenset[str]) -> bool:
    """Compute everything again: the policy of a checkpoint that is given none."""
    return False


@dataclass(frozen=True, slots=True)
class Scope:
    """A checkpointed region: values that its policy does not save are computed again."""

    name: str
    policy: Policy = nothing_saveable
    outer: Scope | None = None

    def __str__(self) -> str:
        return "/".join(scope.name for scope in self.around())

    def around(self) -> tuple[Scope, ...]:
        """Return this region and those it stands in, the outermost first."""
        return (*(self.outer.around() if self.outer else ()), self)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a node comes from.

    `order` counts the derivatives between the user's line and the node: 0 for the primal program,
    1 for tangents or cotangents of it, and so on. `scope` is the innermost checkpointed region.
    """

    location: Location | None = None
    order: int = 0
    scope: Scope | None = None


@dataclass(frozen=True, eq=False)
class Node:
    """One application of an op. Attributes are hashable and never change."""

    op: Op
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    origin: Origin = Origin()

    def renamed(self, names: Mapping[Value, Value]) -> Node:
        """Return the node on other values."""
        inputs = tuple(names.get(v, v) for v in self.inputs)
        outputs = tuple(names.get(v, v) for v in self.outputs)
        return Node(self.op, inputs, outputs, self.attrs, self.origin)

    def regions(self) -> Iterator[Graph]:
        """Iterate over the programs inside this node."""
        return (value for value in self.attrs.values() if isinstance(value, Graph))

    @cached_property
    def symbolic(self) -> bool:
        """Whether an attribute, programs left out, is an affine function of loop indices."""
        return any(map(_is_symbolic, self.attrs.values()))

    @property
    def output(self) -> Value:
        """The only result."""
        (value,) = self.outputs
        return value

    @property
    def types(self) -> tuple[ArrayType, ...]:
        """The types of the operands."""
        return tuple(v.type for v in self.inputs)


def _is_symbolic(attr: Any) -> bool:
    match attr:
        case Affine():
            return True
        case Slice():
            return isinstance(attr.start, Affine) or isinstance(attr.size, Affine)
        case tuple():
            return any(map(_is_symbolic, attr))
        case _:
            return False


@dataclass(frozen=True, eq=False)
class Graph:
    """A program: inputs, ordered nodes, outputs.

    Two graphs compare equal as attributes when they compute the same thing in the same way.
    """

    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Value, ...]
    name: str = "main"

    def __str__(self) -> str:
        return show(self)

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Graph) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def fingerprint(self) -> str:
        """A hash of what the program computes: names and source lines do not count."""
        return self._identity[0]

    @cached_property
    def _identity(self) -> tuple[str, tuple[Symbol, ...]]:
        """The fingerprint, and the indices of the loops around in the order of their first use.

        Two bodies of one text are different if they mean different loops by it.
        """
        symbols: dict[Symbol, str] = {}
        text = show(self, canonical=True, symbols=symbols)
        bound = set(self._bound_symbols())
        free = tuple(symbol for symbol in symbols if symbol not in bound)
        return hashlib.sha256(text.encode()).hexdigest(), free

    def _bound_symbols(self) -> Iterator[Symbol]:
        for node in self.nodes:
            yield from (a for a in node.attrs.values() if isinstance(a, Symbol))
            for region in node.regions():
                yield from region._bound_symbols()

    def constants(self) -> dict[str, Constant]:
        """Map the digests of the constant arrays, those of the regions included, to the arrays."""
        found = {}
        for node in self.nodes:
            for value in node.attrs.values():
                if isinstance(value, Constant):
                    found[value.digest] = value
            for region in node.regions():
                found.update(region.constants())
        return found

    def draw(self, **options: Any) -> Any:
        """Return a picture of the program: see `adgraph.draw.draw`."""
        return RENDERERS["draw"](self, **options)

    def _repr_svg_(self) -> str:
        svg: str = self.draw()._repr_svg_()
        return svg

    def producers(self) -> dict[Value, Node]:
        """Map every computed value to its node."""
        return {v: node for node in self.nodes for v in node.outputs}
