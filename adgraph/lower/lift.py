"""Numbers of a kernel as operands: so that a kernel serves every size.

What a mean divides by, or a step `1 / (n - 1)`, changes with the size of the arrays. `lifted` takes
such literals out of a nest that has run-time sizes: the kernel reads them, once, from an array that
the program brings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from adgraph.lower.nest import (
    Access,
    Branch,
    Let,
    Load,
    Loop,
    Nest,
    Offset,
    Parameter,
    Range,
    Set,
    Statement,
    Store,
    While,
)

NUMBERS = "k0"  # the pointer to the numbers
LARGEST = 16  # quarters up to this are constants of the kernel, as are extents
DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
_LITERAL = re.compile(r"\(?(float32\()?(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\)*")


def lifted(nest: Nest) -> tuple[Nest, tuple[float, ...]]:
    """Return the nest and the numbers that it reads behind `NUMBERS`, if there are any.

    A nest without sizes is made for its arrays' sizes and keeps its literals.
    """
    if not nest.sizes:
        return nest, ()
    numbers = _Numbers()
    body = numbers.all(nest.body)
    if not numbers.values:
        return nest, ()
    pointers = (*nest.pointers, Parameter(NUMBERS, DOUBLE))
    return replace(nest, pointers=pointers, body=(*numbers.loads(), *body)), numbers.values


class _Numbers:
    """The names of the literals that were met, in order."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(float(_number(text)[1]) for text in self._names)

    def loads(self) -> list[Statement]:
        """Return the statements that read the numbers, in the type of their literals."""
        statements: list[Statement] = []
        for i, (text, name) in enumerate(self._names.items()):
            single = bool(_number(text)[0])
            read = f"{name}w" if single else name
            statements.append(Load(read, Access(NUMBERS, (), Offset(str(i), i))))
            if single:
                statements.append(Let(name, SINGLE, "cast({0})", (read,)))
        return statements

    def all(self, statements: Iterable[Statement]) -> tuple[Statement, ...]:
        return tuple([self._statement(s) for s in statements])

    def _statement(self, statement: Statement) -> Statement:
        match statement:
            case Let(operands=operands):
                names = tuple([self._operand(x) for x in operands])
                return statement if names == operands else replace(statement, operands=names)
            case Store(name=value, add=add):
                return replace(statement, name=self._operand(value), add=self._operand(add))
            case Set(text=value):
                return replace(statement, text=self._operand(value))
            case Loop(body=body, before=before, after=after):
                inside, first, last = map(self.all, (body, before, after))
                return replace(statement, body=inside, before=first, after=last)
            case Range(body=body):
                return replace(statement, body=self.all(body))
            case While(test=test, body=body):
                return replace(statement, test=self.all(test), body=self.all(body))
            case Branch(then=then, orelse=orelse):
                return replace(statement, then=self.all(then), orelse=self.all(orelse))
            case _:
                return statement

    def _operand(self, text: str) -> str:
        if text not in self._names:
            if not _depends_on_size(text):
                return text
            self._names[text] = f"k{len(self._names) + 1}"
        return self._names[text]


def _number(text: str) -> tuple[str | None, str]:
    found = _LITERAL.fullmatch(text)
    assert found is not None
    return found[1], found[2]


def _depends_on_size(text: str) -> bool:
    """Tell whether a floating-point literal may be another one for arrays of other sizes."""
    found = _LITERAL.fullmatch(text)
    if found is None or not (found[1] or "." in text or "e" in text):
        return False
    value = float(found[2])
    return abs(value) > LARGEST or not (4 * value).is_integer()
