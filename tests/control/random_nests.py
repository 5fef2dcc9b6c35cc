"""Random nests of loops that read and write one array, for the fuzz test of their adjoints.

Subscripts are affine points and ragged rows; loops go up and down, their bounds depend on the loops
around; a number is carried along; branches and inner loops may run never. `nest(seed)` gives a
program of an array (9,) or (9, 9): the short one is overwritten more often than it has elements.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.ir.dims import Dim
from adgraph.ir.graph import Graph
from tests.control.construction import array, cond_of, fori, get, number, program, put_at

SIZE = 9

State = tuple[Any, Any]
Indices = list[Dim]
Statement = Callable[[Indices, State], State]


def nest(seed: int) -> Graph:
    """Return a random program: an array to the array and a number it computes."""
    rng = random.Random(seed)
    rank = rng.choice((1, 2, 2))
    statements = [_loop(rng, rank, 1)]
    if rng.random() < 0.4:
        statements.append(_loop(rng, rank, 3))
    shape = (SIZE,) * rank
    return program([array(*shape)], lambda a: _run(statements, [], (a, np.asarray(0.1))))


def _run(statements: list[Statement], indices: Indices, state: State) -> State:
    for statement in statements:
        state = statement(indices, state)
    return state


def _loop(rng: random.Random, rank: int, depth: int) -> Statement:
    """A loop with up to three statements and, if it is the outermost, perhaps a loop inside."""
    low, high = rng.choice([(1, 7), (2, 8), (1, None), (None, 8)])
    backwards = rng.random() < 0.4
    depth += 1
    before = [_statement(rng, rank) for _ in range(rng.randrange(3))]
    inner = [_loop(rng, rank, depth)] if depth < 4 and rng.random() < 0.7 else []
    after = [_statement(rng, rank)]

    def run(indices: Indices, state: State) -> State:
        start = low if low is not None else (indices[-1] if indices else 1)
        stop = high if high is not None else (indices[-1] if indices else 6)

        def body(i: Dim, *state: Any) -> State:
            return _run([*before, *inner, *after], [*indices, i], (state[0], state[1]))

        first, last, step = (stop - 1, start - 1, -1) if backwards else (start, stop, 1)
        a, s = fori(first, last, step, state, body)
        return a, s

    return run


def _statement(rng: random.Random, rank: int) -> Statement:
    kind = rng.randrange(10)
    cells = [[_point(rng) for _ in range(rank)] for _ in range(3)]
    lattice = rng.random() < 0.25
    rows = [_row(rng, rank, lattice) for _ in range(2)]

    def point(n: int, indices: Indices) -> tuple[Dim, ...]:
        return tuple(position(indices) for position in cells[n])

    def sine(indices: Indices, state: State) -> State:
        a, s = state
        value = np.sin(get(a, *point(1, indices))) * get(a, *point(2, indices))
        return put_at(a, value, *point(0, indices)), s

    def product(indices: Indices, state: State) -> State:
        a, s = state
        here = point(0, indices)
        return put_at(a, get(a, *here) * get(a, *point(1, indices)), *here), s

    def dot(indices: Indices, state: State) -> State:
        a, s = state
        here = point(0, indices)
        row, other = get(a, *rows[0](indices)), get(a, *rows[1](indices))
        return put_at(a, get(a, *here) - np.sum(row * other) * 0.1, *here), s

    def scaled_row(indices: Indices, state: State) -> State:
        a, s = state
        value = np.cos(get(a, *rows[1](indices))) * get(a, *point(0, indices))
        return put_at(a, value, *rows[0](indices)), s

    def carried(indices: Indices, state: State) -> State:
        a, s = state
        s = np.tanh(s + get(a, *point(1, indices)))
        return put_at(a, s * get(a, *point(2, indices)), *point(0, indices)), s

    def read_back(indices: Indices, state: State) -> State:
        a, s = state
        here = point(0, indices)
        a = put_at(a, np.sin(get(a, *point(1, indices))), *here)
        return put_at(a, np.cos(get(a, *here)) * get(a, *here), *point(2, indices)), s

    def branch(indices: Indices, state: State) -> State:
        a, s = state
        predicate = np.less(number(indices[-1]), 4)
        return cond_of(
            predicate,
            (a, s),
            lambda a, s: sine(indices, (a, s)),
            lambda a, s: carried(indices, (a, s)),
        )  # type: ignore[return-value]  # two results

    statements = [sine, sine, product, product, dot, scaled_row, carried, branch]
    return [*statements, read_back, read_back][kind]


def _point(rng: random.Random) -> Callable[[Indices], Dim]:
    """A position: a number, or an index that may be moved by one."""
    fixed = rng.randrange(SIZE) if rng.randrange(4) == 0 else None
    which, offset = rng.random(), rng.choice((-1, 0, 0, 1))

    def position(indices: Indices) -> Dim:
        return fixed if fixed is not None else indices[int(which * len(indices))] + offset

    return position


def _row(rng: random.Random, rank: int, lattice: bool) -> Callable[[Indices], tuple[Any, ...]]:
    """A part of a row, a column or a vector: as long as the innermost index says, or a lattice."""
    across, start, position = rng.random() < 0.5, rng.randrange(2), _point(rng)

    def subscript(indices: Indices) -> tuple[Any, ...]:
        along: Any = (start, 4, 2) if lattice else (start, indices[-1])
        if rank == 1:
            return (along,)
        return (position(indices), along) if across else (along, position(indices))

    return subscript
