"""Rules about factors that are the same along axes: the table `FACTORS`.

Such a factor has fewer elements than what it multiplies: it leaves a sum over these axes, meets
other such factors first, and is inverted before it divides. Then little is left to do for each
element. All accept rounding, and other results where an intermediate over- or underflows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.ir.types import Shape
from adgraph.ops.reduction import kept, reduce_sum
from adgraph.ops.shape import broadcast, reshape
from adgraph.passes.rules import Rule, Site, literal, same

SHARE = 2  # a factor with this many times fewer elements is narrow


def _is_narrow(shape: Shape, whole: Shape) -> bool:
    extents = (*shape, *whole)
    if not all(isinstance(n, int) for n in extents):
        return False
    return math.prod(shape) * SHARE <= math.prod(whole)


def _divide_by_few(site: Site) -> Any:
    """Divide once for each divisor, then multiply."""
    above, below = site.args
    if literal(below) is not None or not _is_narrow(below.shape, above.shape):
        return None
    if site.type.dtype.kind != "f" or above.shape != site.type.shape or literal(above) is not None:
        return None
    return above * np.reciprocal(below)


def _narrow_factors_first(site: Site) -> Any:
    """Multiply factors with few elements first: p (q x) is (p q) x."""
    if site.type.dtype.kind != "f":
        return None
    for outer, x in (site.args, site.args[::-1]):
        product = site.made(x, np.multiply)
        if product is None or len(product.readers) > 1 or x.shape != site.type.shape:
            continue
        for inner, rest in (product.args, product.args[::-1]):
            if rest.shape == site.type.shape and _are_few(outer, inner, site.type.shape):
                return site.op(site.op(outer, inner), rest)
    return None


def _are_few(first: Any, second: Any, whole: Shape) -> bool:
    """Tell whether two factors have few elements, also together, and are no two literals."""
    if literal(first) is not None and literal(second) is not None:
        return False
    if not all(isinstance(n, int) for n in (*first.shape, *second.shape)):
        return False
    return _is_narrow(np.broadcast_shapes(first.shape, second.shape), whole)


# --- sums ----------------------------------------------------------------------------------------


def _sum_of_scaled(site: Site) -> Any:
    """A factor that is the same along the axes of a sum multiplies the sum."""
    (terms,) = site.args
    product = site.made(terms, np.multiply)
    if product is None or len(product.readers) > 1 or site.type.dtype.kind != "f":
        return None
    axis = site.attrs["axis"]
    for factor, rest in (product.args, product.args[::-1]):
        if rest.shape != terms.shape or literal(rest) is not None:
            continue
        once = _once(site, factor, terms.shape, axis)
        if once is not None:
            return reduce_sum(rest, axis=axis) * once
    return None


def _once(site: Site, factor: Any, whole: Shape, axis: tuple[int, ...]) -> Any:
    """Return a factor without the axes along which it is the same; None if it varies there."""
    number = literal(factor)
    if number is not None:
        return site.number(number)
    stretched = site.made(factor, broadcast)
    source = factor if stretched is None else stretched.args[0]
    extents = (1,) * (len(whole) - source.ndim) + source.shape
    if any(extents[a] != 1 for a in axis) or not _is_narrow(extents, whole):
        return None
    return np.reshape(source, kept(extents, axis))


def _sum_of_centred(site: Site) -> Any:
    """Differences from their mean add up to nothing."""
    (terms,) = site.args
    axis = site.attrs["axis"]
    if site.type.dtype.kind != "f":
        return None
    if _vanishes(site, terms, axis):
        return site.filled(0)
    total = site.made(terms, np.add, np.subtract)
    if total is None or len(total.readers) > 1:
        return None
    first, second = total.args
    if first.shape != terms.shape or second.shape != terms.shape:
        return None
    if _vanishes(site, second, axis):
        return reduce_sum(first, axis=axis)
    if _vanishes(site, first, axis):
        rest = reduce_sum(second, axis=axis)
        return rest if total.op.numpy is np.add else -rest
    return None


def _vanishes(site: Site, x: Any, axis: tuple[int, ...]) -> bool:
    """Tell whether a value is a multiple of differences from the mean over axes."""
    while (product := site.made(x, np.multiply)) is not None:
        for factor, rest in (product.args, product.args[::-1]):
            if rest.shape == x.shape and _once(site, factor, x.shape, axis) is not None:
                x = rest
                break
        else:
            return False
    difference = site.made(x, np.subtract)
    if difference is None:
        return False
    first, second = difference.args
    return _is_mean(site, first, second, axis)


def _is_mean(site: Site, x: Any, mean: Any, axis: tuple[int, ...]) -> bool:
    """Tell whether `mean` is the mean of `x` over axes, beside `x`."""
    total, scale = _scaled_sum(site, mean)
    if total is None or tuple(total.attrs["axis"]) != tuple(axis) or not same(total.args[0], x):
        return False
    extents = (1,) * (x.ndim - mean.ndim) + mean.shape
    count = math.prod(x.shape[a] for a in axis)
    beside = all(n == (1 if a in axis else x.shape[a]) for a, n in enumerate(extents))
    return beside and math.isclose(scale * count, 1.0, rel_tol=1e-6)


def _scaled_sum(site: Site, x: Any) -> tuple[Site | None, float]:
    """Return the site of a sum and the literal factor it was multiplied with, under any shape."""
    scale = 1.0
    while True:
        if (view := site.made(x, reshape, broadcast)) is not None:
            x = view.args[0]
            continue
        scaled = site.made(x, np.multiply, np.divide)
        if scaled is None:
            return site.made(x, reduce_sum), scale
        first, second = scaled.args
        number = literal(second)
        if number is None and scaled.op.numpy is np.multiply:
            first, number = second, literal(first)
        if number is None or number == 0:
            return None, scale
        scale = scale * float(number) if scaled.op.numpy is np.multiply else scale / float(number)
        x = first


ACCEPTED = "rounding, ends of the range"

FACTORS = (
    Rule("x / few", (np.divide,), _divide_by_few, ACCEPTED, arrays=True),
    Rule(
        "few * (few * x)",
        (np.multiply,),
        _narrow_factors_first,
        ACCEPTED,
        (np.multiply,),
        arrays=True,
    ),
    Rule("sum of scaled", (reduce_sum,), _sum_of_scaled, ACCEPTED),
    Rule("sum of centred", (reduce_sum,), _sum_of_centred, ACCEPTED),
)
