"""Positions of elements by their rank, without sorting: what medians and quantiles are read at."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

import numpy as np

from adgraph.errors import ShapeError
from adgraph.ir.code import Loops
from adgraph.ir.op import Kind, Op, register
from adgraph.ir.types import ArrayType
from adgraph.ops.gufuncs import stretched

# --- argselect: where in each row the elements of given ranks stand, in a stable order, nan last --
# A round keeps what lies between two elements of a random sample, `low` and `high`, most likely to
# enclose that of the rank, else what lies beyond; what equals one of them is dropped, so that no
# round is in vain. When few are left, each is told its rank by counting. `below` elements are less
# than all that are kept. Floyd & Rivest, Expected time bounds for selection, Comm. ACM 18 (1975).

_FEW = 64  # elements of a sample, and how many are ranked by counting
_MARGIN = 10  # from the rank to what encloses it, in the sample: 2.5 standard deviations or more

_ROUND = f"""
taken = 0
sample[0] = x[row]
if {{size}} > {_FEW}:
    for k in range({_FEW}):
        state = (state * 1103515245 + 12345) % 2147483648
        v = {{at}}[{{start}} + (state * {{size}}) // 2147483648]
        if v == v:
            at = taken
            while at > 0 and v < sample[max(at - 1, 0)]:
                sample[at] = sample[at - 1]
                at -= 1
            sample[at] = v
            taken += 1
middle = (r - below) * taken // {{numbers}}
all_low = where(middle < {_MARGIN}, 1, 0)
all_high = where(middle + {_MARGIN} < taken, 0, 1)
low = sample[max(middle - {_MARGIN}, 0)]
high = sample[max(min(middle + {_MARGIN}, taken - 1), 0)]
less = 0
upto = 0
inside = 0
through = 0
for k in range({{size}}):
    v = {{at}}[{{start}} + k]
    less += where(v < low, 1, 0)
    upto += where(v <= low, 1, 0)
    inside += where(v < high, 1, 0)
    through += where(v <= high, 1, 0)
if all_low == 1:
    less = 0
    upto = 0
if all_high == 1:
    inside = {{numbers}}
    through = {{numbers}}
q = r - below
tied = -1
value = low
if q < less:
    high = low
    all_low = 1
    all_high = 0
elif q < upto:
    tied = q - less
elif q < inside:
    below += upto
elif q < through:
    tied = q - inside
    value = high
else:
    below += through
    low = high
    all_low = 0
    all_high = 1
if tied >= 0:
    count = 0
    while tied >= 0:
        tied -= where({{at}}[{{start}} + count] == value, 1, 0)
        count += 1
    found = {{place}}
    count = 0
else:
    kept = 0
    for k in range({{size}}):
        v = {{at}}[{{start}} + k]
        above = where(v > low, 1, all_low)
        under = where(v < high, 1, all_high)
        keys[kept] = v
        places[kept] = {{other}}
        kept += where(v == v, above * under, 0)
    count = kept
"""


def _round(indent: int, **names: str) -> str:
    return textwrap.indent(_ROUND.format(**names), " " * indent)


_OF_ROW = _round(20, at="x", start="row", size="n", numbers="numbers", place="count - 1", other="k")
_OF_KEPT = _round(
    20,
    at="keys",
    start="0",
    size="count",
    numbers="count",
    place="places[count - 1]",
    other="places[k]",
)

_SELECT = f"""
def kernel(x, rank, position, keys, places, order, sample, rows, n, m):
    state = 1
    for i in range(rows):
        row = i * n
        numbers = 0
        for k in range(n):
            v = x[row + k]
            numbers += where(v == v, 1, 0)
        below = 0
        count = 0
        for j in range(m):
            r = min(max(rank[i * m + j], 0), n - 1)
            found = -1
            if r >= numbers:
                missing = r - numbers
                while missing >= 0:
                    found += 1
                    v = x[row + found]
                    missing -= where(v == v, 0, 1)
            else:
                if r < below or r >= below + count:
                    below = 0
{_OF_ROW}
                    while count > {_FEW}:
{textwrap.indent(_OF_KEPT, "    ")}
                    if count > 0:
                        largest = keys[0]
                        for k in range(count):
                            largest = where(keys[k] > largest, keys[k], largest)
                        for k in range(count, {_FEW}):
                            keys[k] = largest
                        for k in range(count):
                            order[k] = -1
                        for k in range(count):
                            v = keys[k]
                            less = 0
                            for other in range({_FEW}):
                                less += where(keys[other] < v, 1, 0)
                            while order[less] >= 0:
                                less += 1
                            order[less] = places[k]
                if count > 0:
                    found = order[r - below]
            position[i * m + j] = found
"""


def _select_type(x: ArrayType, rank: ArrayType) -> ArrayType:
    if x.shape[:-1] != rank.shape[:-1] or rank.dtype != np.int64:
        raise ShapeError(f"argselect: rows {x} and ranks {rank} do not fit")
    if not x.shape[-1] and rank.size:
        raise ShapeError(f"argselect: rows {x} have no elements")
    return rank


def _select(x: Any, rank: Any) -> Any:
    order = np.argsort(x, axis=-1, kind="stable")
    return np.take_along_axis(order, np.clip(rank, 0, np.shape(x)[-1] - 1), -1)


def _select_sizes(types: tuple[ArrayType, ...], attrs: Mapping[str, Any]) -> tuple[int, ...]:
    x, rank = types
    n = x.shape[-1]
    return (x.size // n if n else 0), n, rank.shape[-1]


def _select_scratch(types: tuple[ArrayType, ...], attrs: Mapping[str, Any]) -> Any:
    """The elements that are kept, where they stood, the places of the last few, the sample."""
    dtype, whole = types[0].dtype, np.dtype(np.int64)
    n = max(types[0].shape[-1], _FEW)
    rows = ((dtype, n), (whole, n), (whole, _FEW), (dtype, _FEW))
    return tuple(ArrayType(kind, (extent,)) for kind, extent in rows)


argselect: Op = register(
    Op(
        name="argselect",
        kind=Kind.MOVEMENT,
        evaluate=_select,
        infer=_select_type,
        batch=lambda args, batched: argselect(*stretched(args, batched)),
        flops=lambda x, rank: 3.0 * x.size,
        code=Loops(_SELECT, _select_sizes, scratch=_select_scratch),
        differentiable=False,
    )
)
