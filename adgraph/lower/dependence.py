"""Whether iterations of loops touch the same elements of memory.

Iterations with other values of an index are independent if they share no element which one of them
writes, or to which only one of them adds: the order of additions to an element may change, that of
one run is that of every run. Begin with `independent`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adgraph.ir.dims import (
    Affine,
    Dim,
    Symbol,
    lower_bound,
    make,
    substitute,
    symbol_dim,
    upper_bound,
)
from adgraph.lower.nest import Access, Load, Loop, Range, Sizes, Statement, Store


@dataclass(frozen=True)
class Touch:
    """An element that a statement touches: its address, and the indices in it that vary."""

    pointer: str
    address: Dim
    varying: frozenset[Symbol]
    kind: str  # "read", "write" or "add"


def touches(
    body: Iterable[Statement], sizes: Sizes, symbols: Iterable[Symbol], index: Symbol
) -> Iterator[Touch | None]:
    """Iterate over what nests and scalar statements touch, None where an address is not known.

    `symbols` are the indices of the loops around that vary; `index` stands for that of the nests.
    """
    around = frozenset(symbols)
    for statement in body:
        inner = index
        if isinstance(statement, Loop):
            most = number_of(statement.extent, sizes)
            inner = Symbol(statement.index, 0, None if most is None else most - 1)
            inner = index if index.upper == inner.upper else inner
        for access, kind in accesses([statement]):
            address = access.offset.dim
            for _, stride in access.terms:
                step = number_of(stride, sizes)
                if step is None:
                    yield None
                    return
                address = address + step * symbol_dim(inner)
            yield Touch(access.pointer, address, around | {inner}, kind)


def accesses(statements: Iterable[Statement]) -> Iterator[tuple[Access, str]]:
    """Iterate over the elements that statements access, and how: "read", "write" or "add"."""
    for statement in statements:
        match statement:
            case Load(access=access):
                yield access, "read"
            case Store(access=access, add=add):
                yield access, "add" if add else "write"
            case Loop(body=body) | Range(body=body):
                yield from accesses(body)


def independent(touched: Iterable[Touch | None], by: Symbol) -> bool:
    """Tell whether iterations with other values of an index are independent."""
    known: dict[str, list[Touch]] = {}
    for touch in touched:
        if touch is None:
            return False
        known.setdefault(touch.pointer, []).append(touch)
    return all(
        a.kind == b.kind != "write" or _never_meet(a, b, by)
        for group in known.values()
        for a, b in itertools.combinations_with_replacement(group, 2)
    )


def _never_meet(a: Touch, b: Touch, by: Symbol) -> bool:
    """Whether two accesses are to different elements in any two iterations."""
    step = factor(a.address, by)
    if not step or step != factor(b.address, by):
        return False
    span = _span(by)
    renamed = {s: symbol_dim(Symbol(s.name, s.lower, s.upper)) for s in b.varying if s is not by}
    rest = (a.address - step * symbol_dim(by)) - substitute(
        b.address - step * symbol_dim(by), renamed
    )
    rest = _folded(rest, abs(step) * span) if span is not None else rest
    low, high = lower_bound(rest), upper_bound(rest)
    return low is not None and high is not None and -abs(step) < low and high < abs(step)


def _span(symbol: Symbol) -> int | None:
    """The greatest distance of two values of an index, and one more."""
    if symbol.lower is None or symbol.upper is None:
        return None
    span = upper_bound(symbol.upper - symbol.lower)
    return None if span is None else span + 1


def _folded(rest: Dim, least: int) -> Dim:
    """Leave out of a distance what is a multiple of a number no less than `least`.

    If distances in the index fill less than that number, the parts left out must be equal.
    """
    if not isinstance(rest, Affine):
        return rest
    large = [abs(k) for _, k in rest.terms if abs(k) >= least]
    if not large:
        return rest
    unit = min(large)
    if any(k % unit for k in large):
        return rest
    terms = {s: k for s, k in rest.terms if k % unit}
    constant = (rest.constant + unit // 2) % unit - unit // 2
    return make(constant, terms)


def number_of(text: str, sizes: Sizes) -> int | None:
    """Return the value of a printed integer, if it is a literal or a parameter."""
    sign, name = (-1, text[1:]) if text.startswith("-") else (1, text)
    value = int(name) if name.isdigit() else sizes.values.get(name)
    return None if value is None else sign * value


def factor(dim: Dim, symbol: Symbol) -> int:
    """Return the factor of a loop index in an address."""
    return dict(dim.terms).get(symbol, 0) if isinstance(dim, Affine) else 0
