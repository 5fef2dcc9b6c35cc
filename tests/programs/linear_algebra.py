"""Matrix algorithms in loops: factorizations, solvers, products, eigenvalues."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.programs.program import Arguments, Generator, Program


def lu(a: Any) -> None:
    n = a.shape[0]
    for i in range(n):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[:j, j]
            a[i, j] /= a[j, j]
        for j in range(i, n):
            a[i, j] -= a[i, :i] @ a[:i, j]


def lu_by_outer_products(a: Any) -> Any:
    a = a.copy()
    for k in range(len(a) - 1):
        a[k + 1 :, k] /= a[k, k]
        a[k + 1 :, k + 1 :] -= np.outer(a[k + 1 :, k], a[k, k + 1 :])
    return a


def lu_solve(a: Any, b: Any) -> Any:
    lu(a)
    n = len(b)
    x, y = np.zeros(n), np.zeros(n)
    for i in range(n):
        y[i] = b[i] - a[i, :i] @ y[:i]
    for i in range(n - 1, -1, -1):
        x[i] = (y[i] - a[i, i + 1 :] @ x[i + 1 :]) / a[i, i]
    return x


def cholesky(a: Any) -> None:
    a[0, 0] = np.sqrt(a[0, 0])
    for i in range(1, a.shape[0]):
        for j in range(i):
            a[i, j] -= np.dot(a[i, :j], a[j, :j])
            a[i, j] /= a[j, j]
        a[i, i] -= np.dot(a[i, :i], a[i, :i])
        a[i, i] = np.sqrt(a[i, i])


def cholesky_by_columns(a: Any) -> Any:
    lower = np.tril(a)
    n = a.shape[0]
    for k in range(n):
        lower[k, k] = lower[k, k] ** 0.5
        for i in range(k + 1, n):
            lower[i, k] /= lower[k, k]
        for j in range(k + 1, n):
            for i in range(j, n):
                lower[i, j] -= lower[i, k] * lower[j, k]
    return lower


def gram_schmidt(a: Any) -> Any:
    q, r = np.zeros_like(a), np.zeros((a.shape[1], a.shape[1]), dtype=a.dtype)
    for k in range(a.shape[1]):
        r[k, k] = np.sqrt(np.dot(a[:, k], a[:, k]))
        q[:, k] = a[:, k] / r[k, k]
        for j in range(k + 1, a.shape[1]):
            r[k, j] = np.dot(q[:, k], a[:, j])
            a[:, j] -= q[:, k] * r[k, j]
    return q, r


def triangular_solve(lower: Any, b: Any) -> Any:
    x = np.empty_like(b)
    for i in range(len(b)):
        x[i] = (b[i] - lower[i, :i] @ x[:i]) / lower[i, i]
    return x


def back_substitution(upper: Any, b: Any) -> None:
    for i in reversed(range(len(b))):
        for j in range(len(b) - 1, i, -1):
            b[i] -= upper[i, j] * b[j]
        b[i] /= upper[i, i]


def triangular_multiply(alpha: Any, a: Any, b: Any) -> None:
    m, n = b.shape
    for i in range(m):
        for j in range(n):
            b[i, j] += np.dot(a[i + 1 :, i], b[i + 1 :, j])
    b *= alpha


def thomas(a: Any, b: Any, c: Any, d: Any) -> Any:
    n = len(d)
    for i in range(1, n):
        w = a[i] / b[i - 1]
        b[i] -= w * c[i - 1]
        d[i] -= w * d[i - 1]
    d[-1] /= b[-1]
    for i in range(n - 2, -1, -1):
        d[i] = (d[i] - c[i] * d[i + 1]) / b[i]
    return d


def durbin(r: Any) -> Any:
    y = np.empty_like(r)
    alpha, beta = -r[0], 1.0
    y[0] = -r[0]
    for k in range(1, len(r)):
        beta *= 1.0 - alpha * alpha
        alpha = -(r[k] + np.dot(np.flip(r[:k]), y[:k])) / beta
        y[:k] += alpha * np.flip(y[:k])
        y[k] = alpha
    return y


def syrk(alpha: Any, beta: Any, c: Any, a: Any) -> None:
    for i in range(a.shape[0]):
        c[i, : i + 1] *= beta
        for k in range(a.shape[1]):
            c[i, : i + 1] += alpha * a[i, k] * a[: i + 1, k]


def syr2k(alpha: Any, c: Any, a: Any, b: Any) -> None:
    for i in range(a.shape[0]):
        for k in range(a.shape[1]):
            c[i, : i + 1] += a[: i + 1, k] * alpha * b[i, k] + b[: i + 1, k] * alpha * a[i, k]


def symm(c: Any, a: Any, b: Any) -> Any:
    work = np.empty((c.shape[1],))
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            c[:i, j] += b[i, j] * a[i, :i]
            work[j] = b[:i, j] @ a[i, :i]
        c[i, :] += b[i, :] * a[i, i] + work
    return c


def householder(a: Any) -> Any:
    m, n = a.shape
    q = np.eye(m)
    for k in range(n):
        v = a[k:, k].copy()
        v[0] += np.copysign(np.sqrt(v @ v), v[0])
        v /= np.sqrt(v @ v)
        a[k:, k:] -= 2.0 * np.outer(v, v @ a[k:, k:])
        q[:, k:] -= 2.0 * np.outer(q[:, k:] @ v, v)
    return q, np.triu(a)


def givens(a: Any) -> Any:
    m, n = a.shape
    for j in range(n):
        for i in range(m - 1, j, -1):
            r = np.hypot(a[i - 1, j], a[i, j])
            c, s = a[i - 1, j] / r, a[i, j] / r
            upper = c * a[i - 1, j:] + s * a[i, j:]
            a[i, j:] = c * a[i, j:] - s * a[i - 1, j:]
            a[i - 1, j:] = upper
    return a


def power_iteration(a: Any, steps: Any) -> Any:
    x = np.ones(a.shape[0]) / np.sqrt(a.shape[0])
    value = 0.0
    for _ in range(steps):
        y = a @ x
        value = x @ y
        x = y / np.linalg.norm(y)
    return value, x


def jacobi_rotations(a: Any) -> Any:
    n = a.shape[0]
    for _ in range(2):
        for p in range(n - 1):
            for q in range(p + 1, n):
                theta = 0.5 * np.arctan2(2 * a[p, q], a[q, q] - a[p, p])
                c, s = np.cos(theta), np.sin(theta)
                row = a[p].copy()
                a[p] = c * row - s * a[q]
                a[q] = s * row + c * a[q]
                column = a[:, p].copy()
                a[:, p] = c * column - s * a[:, q]
                a[:, q] = s * column + c * a[:, q]
    return np.diag(a)


def conjugate_gradients(a: Any, b: Any, steps: Any) -> Any:
    x = np.zeros_like(b)
    r = b - a @ x
    p = r.copy()
    rr = r @ r
    for _ in range(steps):
        ap = a @ p
        alpha = rr / (p @ ap)
        x += alpha * p
        r -= alpha * ap
        new = r @ r
        p = r + (new / rr) * p
        rr = new
    return x


def min_plus(d: Any) -> Any:
    for k in range(d.shape[0]):
        d[:] = np.minimum(d, d[:, k, None] + d[None, k, :])
    return d


def shortest_paths(d: Any) -> None:
    n = d.shape[0]
    for k in range(n):
        for i in range(n):
            for j in range(n):
                if d[i, k] + d[k, j] < d[i, j]:
                    d[i, j] = d[i, k] + d[k, j]


def csr_product(indptr: Any, indices: Any, data: Any, x: Any) -> Any:
    y = np.zeros(len(indptr) - 1)
    for i in range(len(indptr) - 1):
        for e in range(indptr[i], indptr[i + 1]):
            y[i] += data[e] * x[indices[e]]
    return y


def csr_by_slices(indptr: Any, indices: Any, data: Any, x: Any) -> Any:
    y = np.empty(len(indptr) - 1)
    for i in range(len(indptr) - 1):
        columns = indices[indptr[i] : indptr[i + 1]]
        values = data[indptr[i] : indptr[i + 1]]
        y[i] = values @ x[columns]
    return y


def coo_product(rows: Any, columns: Any, data: Any, x: Any) -> Any:
    y = np.zeros_like(x)
    for e in range(len(data)):
        y[rows[e]] += data[e] * x[columns[e]]
    return y


def determinant(a: Any) -> Any:
    a = a.copy()
    value = 1.0
    for k in range(a.shape[0]):
        value *= a[k, k]
        for i in range(k + 1, a.shape[0]):
            a[i, k:] = a[i, k:] - a[i, k] / a[k, k] * a[k, k:]
    return value


def pivoted(a: Any) -> Any:
    a = a.copy()
    n = a.shape[0]
    for k in range(n - 1):
        p = k
        for i in range(k + 1, n):
            if abs(a[i, k]) > abs(a[p, k]):
                p = i
        row = a[k].copy()
        a[k] = a[p]
        a[p] = row
        for i in range(k + 1, n):
            a[i, k] /= a[k, k]
            a[i, k + 1 :] -= a[i, k] * a[k, k + 1 :]
    return a


def well_conditioned(rng: Generator, n: int) -> Any:
    return rng.normal(size=(n, n)) + 2 * n * np.eye(n)


def symmetric(rng: Generator, n: int) -> Any:
    a = rng.normal(size=(n, n))
    return a @ a.T + n * np.eye(n)


def csr_arguments(rng: Generator, n: int) -> Arguments:
    counts = np.arange(n) % 3  # some rows are empty
    indptr = np.concatenate([[0], np.cumsum(counts)])
    m = int(indptr[-1])
    return indptr, rng.integers(0, n, m), rng.normal(size=m), rng.normal(size=n)


def thomas_arguments(rng: Generator, n: int) -> Arguments:
    return rng.normal(size=n), rng.uniform(3, 4, n), rng.normal(size=n), rng.normal(size=n)


PROGRAMS = (
    Program(lu, lambda rng, n: (well_conditioned(rng, n),), (1, 2, 11), writes=(0,), second=True),
    Program(
        lu_by_outer_products, lambda rng, n: (well_conditioned(rng, n),), (1, 2, 11), exact=True
    ),
    Program(
        lu_solve,
        lambda rng, n: (well_conditioned(rng, n), rng.normal(size=n)),
        (1, 2, 11),
        (0, 1),
        (0,),
    ),
    Program(cholesky, lambda rng, n: (symmetric(rng, n),), (1, 2, 11), writes=(0,), second=True),
    Program(cholesky_by_columns, lambda rng, n: (symmetric(rng, n),), (1, 2, 11), exact=True),
    Program(gram_schmidt, lambda rng, n: (rng.normal(size=(n + 2, n)),), (1, 2, 11), writes=(0,)),
    Program(
        triangular_solve,
        lambda rng, n: (well_conditioned(rng, n), rng.normal(size=n)),
        (1, 2, 11),
        (0, 1),
        second=True,
    ),
    Program(
        back_substitution,
        lambda rng, n: (well_conditioned(rng, n), rng.normal(size=n)),
        (1, 2, 11),
        (0, 1),
        (1,),
        exact=True,
    ),
    Program(
        triangular_multiply,
        lambda rng, n: (1.5, rng.normal(size=(n, n)), rng.normal(size=(n, 3))),
        (1, 2, 11),
        (0, 1, 2),
        (2,),
    ),
    Program(thomas, thomas_arguments, (1, 2, 11), (0, 1, 2, 3), (1, 3), exact=True, second=True),
    Program(durbin, lambda rng, n: (rng.uniform(-0.3, 0.3, n),), (1, 2, 11), second=True),
    Program(
        syrk,
        lambda rng, n: (1.5, 0.8, rng.normal(size=(n, n)), rng.normal(size=(n, n + 1))),
        (1, 2, 11),
        (0, 1, 2, 3),
        (2,),
        exact=True,
        second=True,
    ),
    Program(
        syr2k,
        lambda rng, n: (1.5, *(rng.normal(size=(n, n)) for _ in range(3))),
        (1, 2, 11),
        (0, 1, 2, 3),
        (1,),
        exact=True,
    ),
    Program(
        symm,
        lambda rng, n: tuple(rng.normal(size=(n, n)) for _ in range(3)),
        (1, 2, 11),
        (0, 1, 2),
        (0,),
    ),
    Program(householder, lambda rng, n: (rng.normal(size=(n + 1, n)),), (1, 2, 11), writes=(0,)),
    Program(givens, lambda rng, n: (rng.normal(size=(n + 1, n)),), (1, 2, 11), writes=(0,)),
    Program(power_iteration, lambda rng, n: (symmetric(rng, n), 5), (1, 3, 11)),
    Program(jacobi_rotations, lambda rng, n: (symmetric(rng, n),), (1, 2, 11), writes=(0,)),
    Program(
        conjugate_gradients,
        lambda rng, n: (symmetric(rng, n), rng.normal(size=n), min(n, 4)),
        (1, 3, 11),
        (0, 1),
        second=True,
    ),
    Program(
        min_plus, lambda rng, n: (rng.uniform(0, 1, (n, n)),), (1, 3, 11), writes=(0,), exact=True
    ),
    Program(
        shortest_paths,
        lambda rng, n: (rng.uniform(0, 1, (n, n)),),
        (1, 3, 11),
        writes=(0,),
        exact=True,
    ),
    Program(csr_product, csr_arguments, (1, 3, 11), (2, 3), exact=True, second=True),
    Program(csr_by_slices, csr_arguments, (1, 3, 11), (2, 3)),
    Program(
        coo_product,
        lambda rng, n: (
            rng.integers(0, n, 2 * n),
            rng.integers(0, n, 2 * n),
            rng.normal(size=2 * n),
            rng.normal(size=n),
        ),
        (1, 3, 11),
        (2, 3),
        exact=True,
        second=True,
    ),
    Program(
        determinant,
        lambda rng, n: (rng.normal(size=(n, n)) + 2 * np.eye(n),),
        (1, 2, 11),
        exact=True,
        second=True,
    ),
    Program(pivoted, lambda rng, n: (rng.normal(size=(n, n)),), (1, 2, 11), exact=True),
)
