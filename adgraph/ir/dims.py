"""Extents and positions inside loop bodies: affine functions of loop indices.

A `Symbol` is the index of a loop, with bounds that are affine in older symbols. A `Dim` is an int
or an `Affine`: a constant plus a sum of multiples of symbols. One question, `lower_bound` (and its
mirror), decides signs, clipping, emptiness and disjointness. Begin with `Affine`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from adgraph.errors import GraphError

_numbers = itertools.count()


class UndecidedError(GraphError):
    """A question about an affine expression that its bounds do not answer.

    `question` is an expression whose sign would answer it, if there is one.
    """

    def __init__(self, text: str, question: Dim | None = None) -> None:
        super().__init__(text)
        self.question = question


class Symbol:
    """The index of a loop. Its bounds are inclusive, and hold inside the loop's body only."""

    __slots__ = ("lower", "name", "number", "upper")

    def __init__(self, name: str, lower: Dim | None = None, upper: Dim | None = None) -> None:
        self.name = name
        self.lower = lower
        self.upper = upper
        self.number = next(_numbers)

    def __repr__(self) -> str:
        return self.name


class Affine:
    """A constant plus a sum of integer multiples of symbols.

    >>> i = symbol_dim(Symbol("i", 0, 9))
    >>> 2 * i + 1 - i, i - i, lower_bound(3 - i)
    (i+1, 0, -6)
    """

    def __init__(self, constant: int, terms: tuple[tuple[Symbol, int], ...]) -> None:
        self.constant = constant
        self.terms = terms

    @cached_property
    def _hash(self) -> int:
        return hash((self.constant, self.terms))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Affine)
            and self.constant == other.constant
            and self.terms == other.terms
        )

    def __repr__(self) -> str:
        return show_dim(self, lambda symbol: symbol.name)

    # --- arithmetic -------------------------------------------------------------------------------

    def __add__(self, other: Dim) -> Dim:
        if not _is_dim(other):
            return NotImplemented
        return _combine(self, other, 1)

    __radd__ = __add__

    def __sub__(self, other: Dim) -> Dim:
        if not _is_dim(other):
            return NotImplemented
        return _combine(self, other, -1)

    def __rsub__(self, other: int) -> Dim:
        return _combine(-self, other, 1) if _is_dim(other) else NotImplemented

    def __neg__(self) -> Affine:
        return Affine(-self.constant, tuple((s, -k) for s, k in self.terms))

    def __mul__(self, other: Dim) -> Dim:
        if isinstance(other, Affine):
            raise UndecidedError(
                f"the product of {self} and {other} is not affine in the loop indices"
            )
        if not _is_dim(other):
            return NotImplemented
        return make(self.constant * other, {s: k * other for s, k in self.terms})

    __rmul__ = __mul__

    def __floordiv__(self, other: int) -> Dim:
        if not _is_dim(other):
            return NotImplemented
        factors = (self.constant, *(k for _, k in self.terms))
        if any(k % other for k in factors):
            raise UndecidedError(f"{self} is not a multiple of {other}")
        return make(self.constant // other, {s: k // other for s, k in self.terms})

    # --- what bounds decide -----------------------------------------------------------------------

    def __lt__(self, other: Dim) -> bool:
        return self._decide(other - 1 - self, self - other, f"< {other}")

    def __le__(self, other: Dim) -> bool:
        return self._decide(other - self, self - other - 1, f"<= {other}")

    def __gt__(self, other: Dim) -> bool:
        return self._decide(self - other - 1, other - self, f"> {other}")

    def __ge__(self, other: Dim) -> bool:
        return self._decide(self - other, other - self - 1, f">= {other}")

    def __bool__(self) -> bool:
        if nonnegative(self - 1) or nonnegative(-self - 1):
            return True
        raise UndecidedError(f"whether {self} is zero changes from one iteration to another")

    def _decide(self, true: Dim, false: Dim, what: str) -> bool:
        if nonnegative(true):
            return True
        if nonnegative(false):
            return False
        text = f"whether {self} {what} changes from one iteration to another"
        raise UndecidedError(text, true)

    def _no_number(self, *_: Any) -> NoReturn:
        raise UndecidedError(f"{self} has another value in every iteration")

    __index__ = __int__ = __float__ = _no_number


Dim = int | Affine


def show_dim(dim: Dim, name: Callable[[Symbol], str]) -> str:
    """Print a dim; `name` gives the names of symbols."""
    constant, terms = _parts(dim)
    text = ""
    for symbol, factor in terms:
        sign = "-" if factor < 0 else "+" if text else ""
        text += f"{sign}{'' if abs(factor) == 1 else f'{abs(factor)}*'}{name(symbol)}"
    return f"{text}{constant:+d}" if text and constant else text or str(constant)


def _is_dim(x: object) -> bool:
    return isinstance(x, (int, np.integer, Affine))


def make(constant: int, terms: Mapping[Symbol, int]) -> Dim:
    """Return the canonical form: an int if no symbol is left."""
    kept = sorted(((s, int(k)) for s, k in terms.items() if k), key=lambda term: term[0].number)
    return Affine(int(constant), tuple(kept)) if kept else int(constant)


def _parts(dim: Dim) -> tuple[int, tuple[tuple[Symbol, int], ...]]:
    return (dim.constant, dim.terms) if isinstance(dim, Affine) else (int(dim), ())


def _combine(a: Dim, b: Dim, sign: int) -> Dim:
    constant, terms = _parts(a)
    other, more = _parts(b)
    total = dict(terms)
    for symbol, factor in more:
        total[symbol] = total.get(symbol, 0) + sign * factor
    return make(constant + sign * other, total)


def symbol_dim(symbol: Symbol) -> Dim:
    """Return the symbol as an affine expression."""
    return Affine(0, ((symbol, 1),))


def loop_bounds(start: Dim, trips: Dim, step: int) -> tuple[Dim, Dim]:
    """Return the least and the greatest index of a loop that runs at all."""
    last = start + step * (trips - 1)
    return (start, last) if step > 0 else (last, start)


def _bound(dim: Dim, sign: int) -> int | None:
    """The greatest (1) or least (-1) value: the youngest symbols take their extremes first."""
    while isinstance(dim, Affine):
        symbol, factor = dim.terms[-1]
        extreme = symbol.upper if factor * sign > 0 else symbol.lower
        if extreme is None:
            return None
        dim = make(dim.constant, dict(dim.terms[:-1])) + factor * extreme
    return dim


def lower_bound(dim: Dim) -> int | None:
    """Return a number that a dim never falls below, or None if its symbols have no bound."""
    return _bound(dim, -1)


def upper_bound(dim: Dim) -> int | None:
    """Return a number that a dim never exceeds, or None if its symbols have no bound."""
    return _bound(dim, 1)


def nonnegative(dim: Dim) -> bool:
    """Tell whether a dim is known to be at least 0."""
    least = lower_bound(dim)
    return least is not None and least >= 0


def substitute(dim: Dim, values: Mapping[Symbol, Dim]) -> Dim:
    """Replace symbols by dims."""
    if not isinstance(dim, Affine):
        return dim
    total: Dim = dim.constant
    for symbol, factor in dim.terms:
        total = total + factor * values.get(symbol, symbol_dim(symbol))
    return total


def value_of(dim: Dim, symbols: Mapping[Symbol, int]) -> int:
    """Return the number a dim is, given the values of its symbols."""
    constant, terms = _parts(dim)
    return constant + sum(factor * symbols[symbol] for symbol, factor in terms)
