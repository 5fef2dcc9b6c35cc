"""Indices that are data: gathers and scatters."""

from __future__ import annotations

import numpy as np

from benchmarks.suite.program import Arguments, Array, Generator, Program

GROUP = "gather"


def sparse_product(pointers: Array, columns: Array, data: Array, x: Array) -> Array:
    """Multiply a matrix in compressed rows and a vector, row by row."""
    y = np.empty(len(pointers) - 1)
    for i in range(len(y)):
        row = slice(pointers[i], pointers[i + 1])
        y[i] = data[row] @ x[columns[row]]
    return y


def embedding(table: Array, words: Array, weights: Array) -> Array:
    """Return the products of rows of a table and of weights."""
    return np.tanh(table[words]) @ weights


def segment_sum(values: Array, segments: Array) -> Array:
    """Return the squared sums of the values of every segment."""
    totals = np.zeros(1000)
    np.add.at(totals, segments, values)
    return totals**2


def sparse(random: Generator) -> Arguments:
    """Draw a matrix with about 16 elements in a row, and a vector."""
    pointers = np.concatenate([[0], np.cumsum(random.integers(8, 25, 4096))])
    total = int(pointers[-1])
    columns = random.integers(0, 4096, total)
    return pointers, columns, random.normal(size=total), random.normal(size=4096)


def words(random: Generator) -> Arguments:
    """Draw a table of 5000 words, and a text of 2000."""
    table = random.normal(size=(5000, 64))
    return table, random.integers(0, 5000, 2000), random.normal(size=64)


def segments(random: Generator) -> Arguments:
    """Draw 100,000 values of 1000 segments."""
    return random.normal(size=100_000), random.integers(0, 1000, 100_000)


PROGRAMS = (
    Program("sparse mat-vec 4096", GROUP, sparse_product, sparse, (2, 3), weighed=True),
    Program("embedding 5000x64, 2000", GROUP, embedding, words, (0, 2), weighed=True),
    Program("segment sum 100,000", GROUP, segment_sum, segments, weighed=True),
)
