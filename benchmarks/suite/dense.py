"""Programs whose time is that of BLAS and LAPACK."""

from __future__ import annotations

import numpy as np

from benchmarks.suite.program import Arguments, Array, Generator, Program, normal

GROUP = "dense"


def network(w1: Array, b1: Array, w2: Array, b2: Array, x: Array, labels: Array) -> Array:
    """Return the cross-entropy of a network with one hidden layer."""
    hidden = np.maximum(x @ w1 + b1, 0.0)
    logits = hidden @ w2 + b2
    top = np.max(logits, axis=1, keepdims=True)
    total = np.log(np.sum(np.exp(logits - top), axis=1)) + top[:, 0]
    return np.mean(total - np.sum(logits * labels, axis=1))


def gemm_chain(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Return a product of four matrices."""
    return a @ b @ c @ d


def gram(a: Array) -> Array:
    """Return the products of the columns."""
    return a.T @ a


def solve(a: Array, b: Array) -> Array:
    """Return the solution of a linear system."""
    return np.linalg.solve(a, b)


def cholesky(a: Array) -> Array:
    """Return the logarithm of the determinant of a positive definite matrix, and a norm."""
    lower = np.linalg.cholesky(a @ a.T + 300.0 * np.eye(300))
    return 2 * np.sum(np.log(np.diag(lower))) + np.sum(lower**2)


def batch(random: Generator) -> Arguments:
    """Draw a 784-256-10 network and a batch of 128."""
    return (
        random.normal(size=(784, 256)) * 0.05,
        np.zeros(256),
        random.normal(size=(256, 10)) * 0.1,
        np.zeros(10),
        random.normal(size=(128, 784)),
        np.eye(10)[random.integers(0, 10, 128)],
    )


def system(random: Generator) -> Arguments:
    """Draw a well-conditioned matrix and a right-hand side."""
    return random.normal(size=(300, 300)) + 30 * np.eye(300), random.normal(size=300)


PROGRAMS = (
    Program("MLP 784-256-10", GROUP, network, batch, (0, 1, 2, 3)),
    Program(
        "gemm chain 200", GROUP, gemm_chain, normal(*[(200, 200)] * 4), (0, 1, 2, 3), weighed=True
    ),
    Program("A.T @ A, 500x300", GROUP, gram, normal((500, 300)), weighed=True),
    Program("solve 300", GROUP, solve, system, (0, 1), weighed=True),
    Program("Cholesky 300", GROUP, cholesky, normal((300, 300))),
)
