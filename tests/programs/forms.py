"""Forms of Python and of views that such code uses: one form a program, small on purpose."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import zeros as make

from tests.programs.program import Program

WEIGHTS = np.linspace(0.5, 1.5, 64)


def stacked_rows(a: Any) -> Any:
    rows = []
    for row in a:
        rows.append(row * row[0])  # noqa: PERF401 - the form is the subject
    return np.stack(rows), np.array([r[-1] for r in rows])


def enumerated(a: Any, x: Any) -> Any:
    total = 0.0
    for k, row in enumerate(a):
        total += row[k] * (k + 1)
    for row, scale in zip(a, x, strict=True):
        total += np.sum(row) * scale
    for k, (row, scale) in enumerate(zip(a, x, strict=True)):
        total += row[k] * scale * k
    return total


def backwards(x: Any) -> Any:
    for i in range(len(x) - 2, 0, -2):
        x[i] += x[i - 1] * x[i + 1]
    return x[::-1]


def helper(x: Any, k: Any, scale: float = 2.0) -> Any:
    if k > 2:
        return scale * x
    return x * x


def calls_helpers(x: Any) -> Any:
    y = make(len(x))

    def shifted(value: Any) -> Any:
        return value + x[0]

    for i in range(len(x)):
        y[i] = shifted(helper(x[i], i)) + helper(x[i], k=3, scale=0.5)
    return y


def second_index(x: Any) -> Any:
    y = np.zeros(2 * len(x))
    k = 0
    for i in range(len(x)):
        y[k] = x[i]
        k += 1
        y[k] = -x[i] * x[i]
        k += 1
    return y


def plain_tables(x: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        total += WEIGHTS[i] * x[i]
    return total


def overlapping(x: Any) -> Any:
    for _ in range(3):
        x[1:] = x[:-1]
        x[:-1] += x[1:]
    return x


def views_of_views(a: Any) -> Any:
    for i in range(a.shape[0]):
        row = a[i]
        tail = row[1:]
        tail *= 2.0
        a.T[0, i] += tail[0] if len(tail) else 1.0
    a.reshape(-1)[0] = 7.0
    return a


def aliases(a: Any) -> Any:
    b = a
    c = a.copy()
    for i in range(len(a)):
        b[i] = c[-1 - i] * a[i]
    return a + b


def rebound_after_writing(x: Any) -> Any:
    p = x.copy()
    q = p
    for _ in range(4):
        p[0] = p[0] + 1
        p = p * 2
    return p, q


def swapped_arguments(a: Any, b: Any, steps: Any) -> None:
    for _ in range(steps):
        b[1:-1] = 0.5 * (a[2:] + a[:-2])
        a, b = b, a


def chained(a: Any) -> Any:
    for i in range(a.shape[0]):
        a[i:, i] = a[i, i:] = a[i, i] * 2.0
    return a


def swapped_elements(x: Any) -> Any:
    i, j = 0, len(x) - 1
    while i < j:
        x[i], x[j] = x[j] * 2, x[i]
        i += 1
        j -= 1
    return x


def wrapped_around(x: Any) -> Any:
    y = np.zeros_like(x)
    n = len(x)
    for i in range(n):
        y[(i + 1) % n] += x[i - 1] * x[i // 2]
    return y


def triangle(x: Any) -> Any:
    n = len(x)
    a = np.zeros((n, n))
    for i in range(n):
        a[i, :i] = x[:i] * x[i]
        a[i, i:] = np.flip(x[i:])
        a[i, ::2] *= 0.5
    return a


def last_index(x: Any) -> Any:
    for i in range(1, len(x)):
        x[i] *= x[i - 1]
    return x[i] + i


def tables_in_python(x: Any) -> Any:
    order = [2, 0, 1]
    state = {"sum": 0.0, "count": 0}
    for k in order:
        state["sum"] = state["sum"] + x[k] * (k + 1)
        state["count"] += 1
    return state["sum"] / state["count"]


def lambdas(x: Any) -> Any:
    scale = 1.0
    scaled = lambda v: v * scale  # noqa: E731 - the form is the subject
    for i in range(len(x)):
        scale = scale + scaled(x[i]) * 0.1
    return scale


def builtins_of_python(x: Any) -> Any:
    pairs = [x[i] * x[i + 1] for i in range(len(x) - 1)]
    return sum(pairs) + max(x[0], x[1]) - min(x[0], x[1]) + abs(x[0]) + pow(x[1], 2) + float(x[0])


def integers(x: Any, n: Any) -> Any:
    value = 0
    for k in range(n):
        value = value * 3 + k
    total = np.zeros(len(x), dtype=np.int64)
    for i in range(len(x)):
        total[i] = value // (i + 1) + i % 2
    return x * value, total


def buffers(x: Any, out: Any) -> Any:
    np.multiply(x, x, out=out)
    for i in range(len(x)):
        np.add(out[i:], x[i], out=out[i:])
    return out


def growing(x: Any) -> Any:
    y = np.zeros(0)
    for i in range(3):
        y = np.concatenate((y, x[i : i + 2]))
    return y


def two_dimensional_carry(x: Any, m: Any) -> Any:
    state, total = np.eye(2), 0.0
    for v in x:
        state = (state @ m) * v
        total += state[0, 1]
    return state, total


def diagonal(a: Any) -> Any:
    b = a.copy()
    for k in range(3):
        np.fill_diagonal(b, np.diag(b) * 2.0)
        b[k] += np.diag(a)
    return b


PROGRAMS = (
    Program(
        stacked_rows,
        lambda rng, n: (rng.normal(size=(n, 3)),),
        (1, 2, 11),
        exact=True,
        unrolled=True,
    ),
    Program(
        enumerated,
        lambda rng, n: (rng.normal(size=(n, n)), rng.normal(size=n)),
        (1, 2, 11),
        (0, 1),
    ),
    Program(
        backwards,
        lambda rng, n: (rng.normal(size=n),),
        (2, 3, 11),
        writes=(0,),
        exact=True,
        second=True,
    ),
    Program(
        calls_helpers, lambda rng, n: (rng.normal(size=n),), (1, 2, 11), exact=True, second=True
    ),
    Program(second_index, lambda rng, n: (rng.normal(size=n),), (1, 2, 11), exact=True),
    Program(plain_tables, lambda rng, n: (rng.normal(size=n),), (1, 2, 11), exact=True),
    Program(overlapping, lambda rng, n: (rng.normal(size=n),), (1, 2, 11), writes=(0,), exact=True),
    Program(
        views_of_views,
        lambda rng, n: (rng.normal(size=(n, n)),),
        (1, 2, 11),
        writes=(0,),
        exact=True,
    ),
    Program(
        aliases,
        lambda rng, n: (rng.normal(size=n),),
        (1, 2, 11),
        writes=(0,),
        exact=True,
        second=True,
    ),
    Program(rebound_after_writing, lambda rng, n: (rng.normal(size=n),), (1, 2, 11), exact=True),
    Program(
        swapped_arguments,
        lambda rng, n: (rng.normal(size=n), rng.normal(size=n), 5),
        (2, 3, 11),
        (0, 1),
        (0, 1),
        exact=True,
    ),
    Program(
        chained, lambda rng, n: (rng.normal(size=(n, n)),), (1, 2, 11), writes=(0,), exact=True
    ),
    Program(
        swapped_elements,
        lambda rng, n: (rng.normal(size=n),),
        (1, 2, 11),
        writes=(0,),
        exact=True,
        unrolled=True,
    ),
    Program(wrapped_around, lambda rng, n: (rng.normal(size=n),), (1, 2, 11), exact=True),
    Program(triangle, lambda rng, n: (rng.normal(size=n),), (1, 2, 11), exact=True, second=True),
    Program(last_index, lambda rng, n: (rng.normal(size=n),), (2, 3, 11), writes=(0,), exact=True),
    Program(tables_in_python, lambda rng, n: (rng.normal(size=n),), (3, 5), exact=True),
    Program(lambdas, lambda rng, n: (rng.normal(size=n),), (1, 2, 11), exact=True),
    Program(builtins_of_python, lambda rng, n: (rng.normal(size=n),), (2, 3, 11), unrolled=True),
    Program(integers, lambda rng, n: (rng.normal(size=n), n), (1, 2, 11), exact=True),
    Program(
        buffers,
        lambda rng, n: (rng.normal(size=n), np.zeros(n)),
        (1, 2, 11),
        writes=(1,),
        exact=True,
    ),
    Program(growing, lambda rng, n: (rng.normal(size=n),), (4, 5), exact=True),
    Program(
        two_dimensional_carry,
        lambda rng, n: (rng.normal(size=n), rng.normal(size=(2, 2))),
        (1, 2, 11),
        (0, 1),
    ),
    Program(diagonal, lambda rng, n: (rng.normal(size=(n, n)),), (3, 4, 11), exact=True),
)
