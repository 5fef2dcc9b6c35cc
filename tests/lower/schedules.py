"""Random loops of statements, and runs of them as plain Python: the text of a kernel is Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adgraph.ir.dims import Dim, Symbol, symbol_dim
from adgraph.lower.given import Names
from adgraph.lower.nest import ONCE, Access, Let, Load, Nest, Parameter, Sizes, Statement, Store
from adgraph.lower.numba_source import numba_source

FLOAT = np.dtype(np.float64)
ROW = 40  # elements of a row of the arrays that random loops work on


def names_of(*symbols: Symbol) -> Names:
    """Names of a kernel in which these are the indices of loops."""
    return Names(Sizes(shared=True, symbols={s: s.name for s in symbols}))


def element(names: Names, pointer: str, offset: Dim, *terms: tuple[str, str]) -> Access:
    """An element of a pointer."""
    return Access(pointer, terms, names.sizes.address(offset, ()))


def run(
    statements: Sequence[Statement], names: Names, arrays: dict[str, np.ndarray[Any, Any]]
) -> dict[str, np.ndarray[Any, Any]]:
    """Run statements on copies of arrays, and return these."""
    pointers = tuple(Parameter(name, FLOAT) for name in arrays)
    source = numba_source(Nest("kernel", pointers, names.sizes.values, tuple(statements)))
    scope: dict[str, Any] = {"fold_add": lambda a, b: a + b, "fma": lambda a, b, c: a * b + c}
    exec(source.text, scope)
    copies = {name: array.copy() for name, array in arrays.items()}
    with np.errstate(over="ignore", invalid="ignore"):  # of products of many
        status = scope["kernel"](*copies.values(), *names.sizes.values.values())
    assert status is None
    return copies


def random_body(
    random: np.random.Generator, names: Names, places: Callable[[], Access]
) -> list[Statement]:
    """Draw loads, sums and products, and stores at the places that a function draws."""
    known = ["1.5"]
    body: list[Statement] = []
    for _ in range(int(random.integers(3, 9))):
        kind = int(random.integers(4))
        if kind == 0:
            body.append(Load(names.scalar(), places()))
            known.append(body[-1].name)
        elif kind == 1:
            text = str(random.choice(["{0} + {1}", "{0} * {1}", "{0} / 3.0"]))
            operands = tuple(str(random.choice(known)) for _ in range(text.count("{")))
            if text == "{0} / 3.0":
                text, operands = "{0} / {1}", (operands[0], "3.0")
            body.append(Let(names.scalar(), FLOAT, text, operands))
            known.append(body[-1].name)
        else:
            add = (ONCE, "0.5")[len(body) % 2] if kind == 3 else ""
            body.append(Store(places(), str(random.choice(known)), add))
    return body


def arrays_of(random: np.random.Generator, *pointers: str) -> dict[str, np.ndarray[Any, Any]]:
    """Draw the arrays: values small enough for products of many."""
    return {name: random.uniform(0.1, 0.9, ROW * ROW) for name in pointers}


def line(symbol: Symbol, row: Dim, place: int) -> Dim:
    """The offset of an element of a row, some places from the index."""
    return row * ROW + symbol_dim(symbol) + place
