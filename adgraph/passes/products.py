"""Matrix products: their order in chains, common factors of their sums, and transposed ones.

Products of floats are not associative in rounding, and where numbers over- or underflow; nothing
else changes. Begin with `PRODUCTS`, the table of rules; `products` is the pass.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.ir.graph import Graph
from adgraph.ops.linalg import matmul, matmul_add, swap
from adgraph.ops.shape import transpose
from adgraph.passes.rewrite import Hits, Table, rewrite
from adgraph.passes.rules import Rule, Site, same
from adgraph.passes.views import VIEWS

ENOUGH = 8  # rows or columns of a product from which on its operand is cheaper to add up
WORTH = 0.9  # a chain is computed in another order if that takes at most this part of the work


def products(graph: Graph, hits: Hits | None = None) -> Graph:
    """Compute chains and sums of matrix products with less work."""
    return rewrite(graph, TABLE, hits)


def accumulate(graph: Graph, hits: Hits | None = None) -> Graph:
    """Add up products inside of the products: for programs that will be compiled."""
    return rewrite(graph, SUMS, hits)


# --- transposed products --------------------------------------------------------------------------


def _transpose_of_product(site: Site) -> Any:
    """(A B)^T is B^T A^T, for which nothing is moved."""
    product = _only_read_here(site, site.args[0])
    axes = site.attrs["axes"]
    rank = len(axes)
    if product is None or axes != (*range(rank - 2), rank - 1, rank - 2):
        return None
    a, b = product.args
    return swap(b) @ swap(a)


def _only_read_here(site: Site, x: Any) -> Site | None:
    """Return the product that computes x, if nothing else reads it."""
    product = site.made(x, matmul)
    return product if product is not None and len(product.readers) == 1 else None


# --- outer products, signs and factors ------------------------------------------------------------


def _outer_product(site: Site) -> Any:
    """A column times a row is elementwise, and need not be stored for what reads it so."""
    a, b = site.args
    if a.shape[-1] != 1 or _is_factor(site):
        return None
    return site.fitted(a * b)


def _negative_of_product(site: Site) -> Any:
    """-(A B) is (-A) B, where A or B has fewer elements than the product."""
    product = _only_read_here(site, site.args[0])
    return None if product is None else _with_factor(product, operator.neg)


def _scaled_product(site: Site) -> Any:
    """Scale A or B, if it has fewer elements than A B: c (A B) is (c A) B."""
    for number, x in (site.args, site.args[::-1]):
        product = _only_read_here(site, x) if number.ndim == 0 else None
        if product is not None and x.shape == site.type.shape:
            return _with_factor(product, functools.partial(operator.mul, number))
    return None


def _with_factor(product: Site, change: Callable[[Any], Any]) -> Any:
    """Change the smaller operand of a product if that is less work than to change the product."""
    if any(x.type.ragged for x in product.args):
        return None
    a, b = product.args
    smaller = min(a.type.size, b.type.size)
    if WORTH * product.type.size < smaller:
        return None
    return change(a) @ b if a.type.size == smaller else a @ change(b)


# --- sums of products -----------------------------------------------------------------------------


def _common_factor(site: Site) -> Any:
    """A B + A C is A (B + C): one product is saved, and the sum of results."""
    first, second = (_only_read_here(site, x) for x in site.args)
    if first is None or second is None:
        return None
    (a, b), (c, d) = first.args, second.args
    if same(a, c) and b.shape == d.shape and _enough(a.shape[-2]):
        return a @ site.op(b, d)
    if same(b, d) and a.shape == c.shape and _enough(b.shape[-1]):
        return site.op(a, c) @ b
    return None


def _enough(extent: Any) -> bool:
    return isinstance(extent, int) and extent >= ENOUGH


def _sum_of_products(site: Site) -> Any:
    """The second product of a sum is added to the first while it is computed."""
    if site.inside:
        return None
    for total, x in (site.args, site.args[::-1]):
        product = _only_read_here(site, x)
        first = site.made(total, matmul, matmul_add)
        if product is None or first is None or len(first.readers) != 1:
            continue
        if total.type == site.type == x.type and min(site.type.shape[-2:]) > 1:
            return matmul_add(total, *product.args)
    return None


# --- chains ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Order:
    """How to multiply matrices `first` to `last`: after `split`, with this much work."""

    work: int
    split: int


def _chain(site: Site) -> Any:
    """Multiply a chain in the order of least work (Cormen et al., section 15.2)."""
    factors = _factors(site, site.args[0]) + _factors(site, site.args[1])
    if len(factors) < 3 or _is_factor(site):
        return None
    extents = [factors[0].shape[-2], *(x.shape[-1] for x in factors)]
    if not all(isinstance(n, int) for n in extents):
        return None
    orders = _orders(extents)
    best = orders[0, len(factors) - 1].work
    return _multiplied(factors, orders) if best <= WORTH * _work(site) else None


def _factors(site: Site, x: Any) -> list[Any]:
    """Return the matrices whose product x is, itself if it is none that only this chain reads."""
    product = _only_read_here(site, x) if x.ndim == 2 else None
    if product is None:
        return [x]
    return _factors(product, product.args[0]) + _factors(product, product.args[1])


def _is_factor(site: Site) -> bool:
    """Tell whether the product is part of a longer chain, which is looked at as a whole."""
    return len(site.readers) == 1 and site.readers[0][0] is matmul


def _work(site: Site) -> int:
    """Return the multiplications of a chain as it stands."""
    parts = [_only_read_here(site, x) for x in site.args if x.ndim == 2]
    inner = sum(_work(part) for part in parts if part is not None)
    m, k = map(int, site.args[0].shape[-2:])
    return inner + m * k * int(site.args[1].shape[-1])


def _orders(extents: list[int]) -> dict[tuple[int, int], _Order]:
    """Return the best order for every interval of matrices i, of extents[i] by extents[i + 1]."""
    count = len(extents) - 1
    orders = {(i, i): _Order(0, i) for i in range(count)}
    for length in range(1, count):
        for first in range(count - length):
            last = first + length
            orders[first, last] = min(
                (_joined(orders, extents, first, split, last) for split in range(first, last)),
                key=lambda order: order.work,
            )
    return orders


def _joined(
    orders: dict[tuple[int, int], _Order], extents: list[int], first: int, split: int, last: int
) -> _Order:
    product = extents[first] * extents[split + 1] * extents[last + 1]
    work = orders[first, split].work + orders[split + 1, last].work + product
    return _Order(work, split)


def _multiplied(factors: list[Any], orders: dict[tuple[int, int], _Order]) -> Any:
    def interval(first: int, last: int) -> Any:
        if first == last:
            return factors[first]
        split = orders[first, last].split
        return interval(first, split) @ interval(split + 1, last)

    return interval(0, len(factors) - 1)


ROUNDING = "rounding, ends of the range"

PRODUCTS = (
    Rule("transpose of product", (transpose,), _transpose_of_product, accepted="rounding"),
    Rule("common factor", (np.add, np.subtract), _common_factor, ROUNDING, (matmul,)),
    Rule("chain of products", (matmul,), _chain, accepted=ROUNDING),
    Rule("outer product", (matmul,), _outer_product, accepted="zero signs"),
    Rule("negative of product", (np.negative,), _negative_of_product, "zero signs", (matmul,)),
    Rule("scaled product", (np.multiply,), _scaled_product, ROUNDING, (matmul,)),
)
SUMS = Table((Rule("sum of products", (np.add,), _sum_of_products, "rounding", (matmul,)),))
TABLE = Table(VIEWS, PRODUCTS)
