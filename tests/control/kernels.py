"""Loop nests of numerical codes, written with loops of the graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.dims import Dim
from adgraph.ir.graph import Graph
from tests.control.construction import add_to, array, fori, get, program, put_at


def cholesky(n: int) -> Graph:
    """Factor a matrix in place, row by row."""

    def row(i: Dim, a: Any) -> Any:
        def column(j: Dim, a: Any) -> Any:
            dot = np.sum(get(a, i, (0, j)) * get(a, j, (0, j)))
            return put_at(a, (get(a, i, j) - dot) / get(a, j, j), i, j)

        (a,) = fori(0, i, 1, [a], column)
        squares = np.sum(get(a, i, (0, i)) * get(a, i, (0, i)))
        return put_at(a, np.sqrt(get(a, i, i) - squares), i, i)

    return program([array(n, n)], lambda a: fori(0, n, 1, [a], row)[0])


def lu(n: int) -> Graph:
    """Factor a matrix in place without pivots."""

    def row(i: Dim, a: Any) -> Any:
        def lower(j: Dim, a: Any) -> Any:
            dot = np.sum(get(a, i, (0, j)) * get(a, (0, j), j))
            return put_at(a, (get(a, i, j) - dot) / get(a, j, j), i, j)

        def upper(j: Dim, a: Any) -> Any:
            dot = np.sum(get(a, i, (0, i)) * get(a, (0, i), j))
            return put_at(a, get(a, i, j) - dot, i, j)

        (a,) = fori(0, i, 1, [a], lower)
        return fori(i, n, 1, [a], upper)[0]

    return program([array(n, n)], lambda a: fori(0, n, 1, [a], row)[0])


def triangular_solve(n: int) -> Graph:
    """Solve L x = b by forward substitution."""

    def solve(l: Any, b: Any) -> Any:  # noqa: E741  the matrix L
        def row(i: Dim, x: Any) -> Any:
            dot = np.sum(get(l, i, (0, i)) * get(x, (0, i)))
            return put_at(x, (get(b, i) - dot) / get(l, i, i), i)

        return fori(0, n, 1, [np.zeros(n)], row)[0]

    return program([array(n, n), array(n)], solve)


def seidel(n: int, steps: int) -> Graph:
    """Average the nine neighbours of every inner point, in place."""

    def sweep(t: Dim, a: Any) -> Any:
        def row(i: Dim, a: Any) -> Any:
            def point(j: Dim, a: Any) -> Any:
                total = sum(get(a, i + p, j + q) for p in (-1, 0, 1) for q in (-1, 0, 1))
                return put_at(a, total / 9.0, i, j)

            return fori(1, n - 1, 1, [a], point)[0]

        return fori(1, n - 1, 1, [a], row)[0]

    return program([array(n, n)], lambda a: fori(0, steps, 1, [a], sweep)[0])


def jacobi(n: int, steps: int) -> Graph:
    """Average five neighbours from one array into another, and back."""
    m = n - 2

    def average(a: Any) -> Any:
        shifts = [(1, 1), (1, 0), (1, 2), (2, 1), (0, 1)]
        return 0.2 * sum(get(a, (p, m), (q, m)) for p, q in shifts)

    def step(t: Dim, a: Any, b: Any) -> Any:
        b = put_at(b, average(a), (1, m), (1, m))
        return put_at(a, average(b), (1, m), (1, m)), b

    return program([array(n, n), array(n, n)], lambda a, b: fori(0, steps, 1, [a, b], step))


def heat(n: int, steps: int) -> Graph:
    """Diffuse in three dimensions from one array into another, and back."""
    m = n - 2
    here = ((1, m), (1, m), (1, m))

    def diffused(a: Any) -> Any:
        total = get(a, *here)
        for axis in range(3):
            low, high = list(here), list(here)
            low[axis], high[axis] = (0, m), (2, m)
            total = total + 0.125 * (get(a, *high) - 2.0 * get(a, *here) + get(a, *low))
        return total

    def step(t: Dim, a: Any, b: Any) -> Any:
        b = put_at(b, diffused(a), *here)
        return put_at(a, diffused(b), *here), b

    types = [array(n, n, n), array(n, n, n)]
    return program(types, lambda a, b: fori(1, steps, 1, [a, b], step))


def syrk(n: int, m: int) -> Graph:
    """Add A A^T to the lower triangle of C."""

    def update(a: Any, c: Any) -> Any:
        def row(i: Dim, c: Any) -> Any:
            c = put_at(c, 0.5 * get(c, i, (0, i + 1)), i, (0, i + 1))

            def inner(k: Dim, c: Any) -> Any:
                return add_to(c, get(a, i, k) * get(a, (0, i + 1), k), i, (0, i + 1))

            return fori(0, m, 1, [c], inner)[0]

        return fori(0, n, 1, [c], row)[0]

    return program([array(n, m), array(n, n)], update)


def thomas(n: int) -> Graph:
    """Solve a tridiagonal system; the diagonal and the right-hand side are overwritten."""

    def solve(lower: Any, diagonal: Any, upper: Any, b: Any) -> Any:
        def eliminate(i: Dim, d: Any, b: Any) -> Any:
            w = get(lower, i - 1) / get(d, i - 1)
            d = put_at(d, get(d, i) - w * get(upper, i - 1), i)
            return d, put_at(b, get(b, i) - w * get(b, i - 1), i)

        d, b = fori(1, n, 1, [diagonal, b], eliminate)
        b = put_at(b, get(b, n - 1) / get(d, n - 1), n - 1)

        def substitute(i: Dim, b: Any) -> Any:
            return put_at(b, (get(b, i) - get(upper, i) * get(b, i + 1)) / get(d, i), i)

        return fori(n - 2, -1, -1, [b], substitute)[0]

    return program([array(n - 1), array(n), array(n - 1), array(n)], solve)


def recurrence(n: int) -> Graph:
    """Iterate x = sin(x) c, which needs one number of every trip."""

    def step(i: Dim, x: Any, c: Any) -> Any:
        return np.sin(x) * c, c

    return program([array(), array()], lambda x, c: fori(0, n, 1, [x, c], step)[0])
