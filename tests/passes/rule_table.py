"""One case for every rule: a program on which it applies, and arguments with hard values.

`tests/graphs/rules/*.txt` holds the text of each program before and after the rule alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from adgraph.ir.types import Slice
from adgraph.ops.constant import convert, stop_gradient
from adgraph.ops.elementwise import multiply_no_nan, power, where
from adgraph.ops.indexing import index_add, put, scatter_add, take, wrap_index
from adgraph.ops.reduction import reduce_sum
from adgraph.ops.shape import (
    add_at,
    broadcast,
    concatenate,
    getitem,
    place,
    reshape,
    transpose,
    update,
)
from adgraph.passes.factors import FACTORS
from adgraph.passes.products import SUMS
from adgraph.passes.products import TABLE as PRODUCTS
from adgraph.passes.rewrite import Table
from adgraph.passes.rules import Rule
from adgraph.passes.simplify import CHAINS, LOCAL, RELEASE
from adgraph.passes.stabilize import STABLE
from adgraph.tracing.tracer import as_tracer, read, tracer

HARD = np.array([0.0, -0.0, 1.5, -2.25, np.inf, -np.inf, np.nan, 1e-300])
PLAIN = np.array([0.25, -0.5, 1.5, -2.25])
OTHER = np.array([3.0, 0.0, -1.25, 0.75])
MATRIX = np.arange(12.0).reshape(3, 4) / 7
COUNTS = np.array([3, -2, 0, 7])
TALL = np.arange(24.0).reshape(8, 3) % 5 - 2  # small integers: sums of products are exact
WIDE = np.arange(24.0).reshape(3, 8) % 7 - 3

TABLES = (LOCAL, CHAINS, STABLE, RELEASE, Table(FACTORS), PRODUCTS, SUMS)
RULES: dict[str, Rule] = {rule.name: rule for table in TABLES for rule in table.rules}


@dataclass(frozen=True)
class Case:
    """A program on which a rule applies."""

    rule: str
    function: Callable[..., Any]
    args: tuple[Any, ...]

    @property
    def table(self) -> Table:
        """The rule alone."""
        return Table((RULES[self.rule],))


def _constant(*numbers: float) -> Any:
    return as_tracer(np.array(numbers))


def _fresh(n: int) -> Any:
    return np.broadcast_to(as_tracer(np.zeros(())), (n,))


def _power(x: Any, exponent: float) -> Any:
    return power(x, as_tracer(np.array(exponent, x.dtype)))


def _interval(start: int, stop: int) -> tuple[Slice]:
    return (Slice(start, stop - start, 1),)


def _slice_twice(x: Any) -> Any:
    rows = tracer(read(getitem(x, index=(Slice(1, 2, 1), Slice(3, 4, -1)))))
    return getitem(rows, index=(1, Slice(1, 2, 1)))


def _three_writes(x: Any) -> Any:
    y = _fresh(3)
    for i in range(3):
        y = update(y, getitem(x, index=(i + 1,)), index=(i,))
    return y


def _four_elements(x: Any) -> Any:
    y = np.reshape(_fresh(4), (2, 2))
    for i in range(4):
        y = update(y, getitem(x, index=(3 - i,)), index=(i % 2, i // 2))
    return y


def _columns(x: Any) -> Any:
    y = np.zeros_like(np.reshape(x, (2, 2)))
    for j in (1, 0):
        y = update(y, getitem(x, index=_interval(j, j + 2)), index=(Slice(0, 2, 1), j))
    return y


def _overlapping(x: Any) -> Any:
    y = update(x, getitem(x, index=(0,)), index=(3,))
    y = update(y, getitem(x, index=_interval(0, 3)), index=_interval(1, 4))
    return update(y, getitem(x, index=_interval(1, 3)), index=_interval(0, 2))


def _checked(i: Any, extent: int) -> Any:
    return wrap_index(i, extent=extent)


def _placed(x: Any, index: Any, n: int = 5) -> Any:
    return place(getitem(x, index=index), index=index, shape=(n,))


def _sum_of_slices(x: Any) -> Any:
    y = concatenate(x, getitem(x, index=_interval(0, 1)), axis=0)
    total = _placed(y, (0,)) + _placed(y, _interval(2, 4))
    return total + _placed(y, (1,)) + np.sin(y) + _placed(y, _interval(2, 4))


def _ten_boxes(x: Any) -> Any:
    total = np.sin(x)
    for i in range(10):
        total = add_at(total, getitem(x, index=(i + 1,)), index=(11 - i,))
    return total


def _chain_of_sums(x: Any) -> Any:
    pair = getitem(x, index=_interval(0, 2))
    total = place(pair, index=_interval(0, 2), shape=(4,))
    total = add_at(total, pair * pair, index=_interval(1, 3))
    return add_at(total, np.sin(pair), index=_interval(2, 4))


def _cleared(x: Any, v: Any) -> Any:
    y = update(x, np.zeros_like(v), index=_interval(1, 3))
    return add_at(y, v, index=_interval(1, 3)), np.sin(y)


def _softmax(x: Any) -> Any:
    return np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True)


def _softmax_of_shifted(x: Any) -> Any:
    e = np.exp(x - np.max(x, axis=1, keepdims=True))
    return e / np.sum(e, axis=1, keepdims=True)


def _log_of_shifted_sum(x: Any) -> Any:
    top = np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(x - top), axis=1)) + top[:, 0]


def _log_softmax_of_shifted(x: Any) -> Any:
    z = x - np.max(x)
    return z - np.log(np.sum(np.exp(z), axis=1, keepdims=True))


def _centred(x: Any) -> Any:
    return x - np.mean(x, axis=1, keepdims=True)


CASES = (
    # views
    Case("uniform constant", lambda x: x + as_tracer(np.full(100, 2.5)), (np.ones(100),)),
    Case(
        "view of literal",
        lambda x: x + reshape(broadcast(_constant(0.5), shape=(100,)), shape=(10, 10)),
        (np.ones((10, 10)),),
    ),
    Case("reshape to same", lambda x: reshape(x, shape=(4,)), (HARD[:4],)),
    Case("reshape to same", lambda x: broadcast(x, shape=(4,)), (HARD[:4],)),
    Case("reshape twice", lambda x: reshape(reshape(x, shape=(2, 6)), shape=(4, 3)), (MATRIX,)),
    Case(
        "reshape of broadcast",
        lambda x: reshape(broadcast(x, shape=(3, 1, 4)), shape=(1, 3, 4)),
        (MATRIX[:, None, :1],),
    ),
    Case("transpose to same", lambda x: transpose(x, axes=(0, 1)), (MATRIX,)),
    Case(
        "transpose twice",
        lambda x: transpose(transpose(x, axes=(1, 2, 0)), axes=(0, 2, 1)),
        (MATRIX.reshape(3, 2, 2),),
    ),
    Case("transpose of unit axes", lambda x: transpose(x, axes=(1, 0, 2)), (MATRIX[:, None],)),
    Case(
        "transpose of broadcast",
        lambda x: transpose(broadcast(x, shape=(3, 4)), axes=(1, 0)),
        (MATRIX[:, :1],),
    ),
    Case(
        "broadcast twice",
        lambda x: broadcast(broadcast(x, shape=(3, 1)), shape=(3, 4)),
        (MATRIX[:1, :1],),
    ),
    Case(
        "reshape of slice",
        lambda x: reshape(getitem(x, index=(1, Slice(1, 2, 1))), shape=(1, 2)),
        (MATRIX,),
    ),
    Case(
        "reshape of slice",
        lambda x: reshape(getitem(x, index=(Slice(1, 1, 1), Slice(1, 2, 1))), shape=(2,)),
        (MATRIX,),
    ),
    Case("slice of everything", lambda x: getitem(x, index=(0, Slice(0, 4, 1))), (MATRIX[:1],)),
    Case("slice twice", _slice_twice, (MATRIX,)),
    Case(
        "slice of broadcast",
        lambda x: getitem(broadcast(x, shape=(3, 4)), index=(1, Slice(1, 3, 1))),
        (MATRIX[:1],),
    ),
    Case(
        "slice of elementwise",
        lambda x, y: getitem(np.sin(x) * y, index=(1, Slice(0, 2, 2))),
        (MATRIX, MATRIX[:1]),
    ),
    Case("sum over nothing", lambda x: reduce_sum(x, axis=(0,)), (MATRIX[:1],)),
    Case("sum over nothing", lambda x: reduce_sum(x, axis=()), (MATRIX,)),
    Case("sum twice", lambda x: reduce_sum(reduce_sum(x, axis=(0,)), axis=(1,)), (MATRIX[None],)),
    Case("sum of negative", lambda x: reduce_sum(-x, axis=(1,)), (MATRIX,)),
    Case(
        "sum of broadcast",
        lambda x: reduce_sum(broadcast(x, shape=(3, 4)), axis=(0, 1)),
        (MATRIX[:1],),
    ),
    Case(
        "sum of reshape",
        lambda x: reduce_sum(reshape(x, shape=(3, 1, 4)), axis=(1, 2)),
        (MATRIX,),
    ),
    Case(
        "sum of transpose",
        lambda x: reduce_sum(transpose(x, axes=(2, 0, 1)), axis=(1,)),
        (MATRIX.reshape(3, 2, 2),),
    ),
    Case(
        "sum of place",
        lambda x: reduce_sum(place(x, index=(Slice(0, 4, 1), 1), shape=(4, 3)), axis=(1,)),
        (HARD[:4],),
    ),
    # movement
    Case("slice of update", lambda x, v: update(x, v, index=(2,))[:2], (HARD, 3.0)),
    Case(
        "slice of update",
        lambda x, v: getitem(update(x, v, index=(Slice(1, 3, 2),)), index=(3,)),
        (HARD, OTHER[:3]),
    ),
    Case("slice of sum", lambda x, v: add_at(x, v, index=(2,))[:2], (HARD, 3.0)),
    Case(
        "slice of sum",
        lambda x, v: getitem(add_at(x, v, index=_interval(1, 4)), index=(2,)),
        (HARD, OTHER[:3]),
    ),
    Case(
        "slice of place",
        lambda x: getitem(place(x, index=_interval(1, 5), shape=(9,)), index=_interval(2, 4)),
        (HARD[:4],),
    ),
    Case(
        "slice of place",
        lambda x: getitem(place(x, index=(Slice(0, 4, 2),), shape=(9,)), index=(3,)),
        (HARD[:4],),
    ),
    Case(
        "slice of concatenate",
        lambda x, y: getitem(concatenate(x, y, axis=0), index=_interval(9, 11)),
        (HARD, OTHER),
    ),
    Case("update everything", lambda x, v: update(x, v, index=_interval(0, 4)), (HARD[:4], OTHER)),
    Case(
        "update again",
        lambda x, y: update(update(x, y[0], index=(1,)), y, index=_interval(0, 4)),
        (HARD, OTHER),
    ),
    Case("update by itself", lambda x: update(x, x[2], index=(2,)), (HARD,)),
    Case("update of zeros", lambda v: update(_fresh(3), v, index=_interval(0, 2)), (HARD[:2],)),
    Case(
        "update again",
        lambda x, y: update(add_at(x, y[0], index=(1,)), y, index=_interval(0, 4)),
        (PLAIN, OTHER),
    ),
    Case("add zeros to box", lambda x: add_at(x, _fresh(2), index=_interval(1, 3)), (HARD,)),
    Case("add box to zeros", lambda v: add_at(_fresh(4), v, index=_interval(1, 3)), (HARD[:2],)),
    Case("add to everything", lambda x, v: add_at(x, v, index=_interval(0, 4)), (HARD[:4], OTHER)),
    Case("add to written box", _cleared, (HARD, OTHER[:2])),
    Case(
        "add to written box",
        lambda x, v: add_at(add_at(x, v, index=(1,)), v * v, index=(1,)),
        (PLAIN, 3.0),
    ),
    Case(
        "add to written box",
        lambda x, v: add_at(place(x, index=(1,), shape=(3,)), v, index=(1,)),
        (0.5, 3.0),
    ),
    Case("place everything", lambda x: place(x, index=(0,), shape=(1,)), (1.5,)),
    Case(
        "place twice",
        lambda x: place(place(x, index=(1,), shape=(3,)), index=(Slice(6, 3, -2),), shape=(8,)),
        (1.5,),
    ),
    Case(
        "place of zeros",
        lambda x: x + place(_fresh(70), index=_interval(1, 71), shape=(80,)),
        (np.resize(HARD, 80),),  # larger than what the tracer folds
    ),
    Case("updates", _three_writes, (HARD,)),
    Case("updates", _four_elements, (PLAIN,)),
    Case("updates", _columns, (PLAIN,)),
    Case("updates", _overlapping, (PLAIN,)),
    Case("sum of boxes", _sum_of_slices, (PLAIN,)),
    Case("sum of boxes", _ten_boxes, (np.linspace(0.5, 2, 12),)),
    Case("sum of boxes", _chain_of_sums, (PLAIN,)),
    Case("sum of boxes", lambda x, v: x + place(v, index=(2,), shape=(4,)), (PLAIN, 3.0)),
    Case(
        "update by sum",
        lambda x, v: update(x, v + getitem(x, index=_interval(1, 3)), index=_interval(1, 3)),
        (HARD, OTHER[:2]),
    ),
    Case(
        "update by sum",
        lambda x, v: update(x, getitem(x, index=_interval(1, 3)) - v, index=_interval(1, 3)),
        (HARD, 3.0),
    ),
    Case("concatenate empty", lambda x: concatenate(x, x[:0], axis=0), (HARD,)),
    Case("concatenate one", lambda x: concatenate(x, axis=0), (HARD,)),
    Case(
        "concatenate literals",
        lambda x: x + concatenate(_fresh(70), _fresh(1), axis=0),
        (np.resize(HARD, 71),),
    ),
    Case(
        "concatenate concatenated",
        lambda x, y: concatenate(x, concatenate(y, x, axis=0), axis=0),
        (HARD, OTHER),
    ),
    Case("concatenate slices", lambda x: concatenate(x[:3], x[3:5], x[5:], axis=0), (HARD,)),
    # positions
    Case("checked where read", lambda x, i: take(x, _checked(i, 8), axis=0), (HARD, COUNTS)),
    Case(
        "checked where read",
        lambda x, i: scatter_add(x, _checked(i, 9), axis=0, extent=9),
        (PLAIN, COUNTS),
    ),
    Case(
        "checked where read",
        lambda x, i: scatter_add(np.sum(x), _checked(i, 4), axis=0, extent=4),
        (PLAIN, COUNTS[0]),
    ),
    Case(
        "checked where written",
        lambda x, v, i: np.sin(put(x, v, _checked(i, 8), axis=0, unique=True)),
        (HARD, PLAIN, COUNTS),
    ),
    Case(
        "checked where written",
        lambda x, v, i: index_add(x, v, _checked(i, 3), axis=1),
        (WIDE[:, :3], WIDE[:, :2], np.array([-3, 2], np.int16)),
    ),
    # products
    Case("transpose of product", lambda x, y: transpose(x @ y, axes=(1, 0)), (TALL, WIDE)),
    Case(
        "transpose of product",
        lambda x, y: transpose(x @ y, axes=(0, 2, 1)),
        (TALL.reshape(4, 2, 3), WIDE),
    ),
    Case("common factor", lambda x, y, z: x @ y + x @ z, (TALL, WIDE, WIDE - 1)),
    Case("common factor", lambda x, y, z: x @ z - y @ z, (TALL, TALL * TALL, WIDE)),
    Case("chain of products", lambda x, y, z: x @ y @ z, (TALL, WIDE, TALL[:, :1])),
    Case("chain of products", lambda x, y, z: x @ (y @ (x @ (y @ z))), (TALL, WIDE, TALL)),
    Case("outer product", lambda x, y: x @ y, (HARD[:, None], OTHER[None])),
    Case("negative of product", lambda x, y: -(x @ y), (TALL, WIDE)),
    Case("negative of product", lambda x, y: -(x @ y), (WIDE[:, :2], WIDE[:2])),
    Case("sum of products", lambda x, y, z: x @ y + z @ y, (TALL, WIDE, TALL * TALL)),
    Case("sum of products", lambda x, y: x @ y + x @ (y - 1) + np.sin(x) @ y, (TALL, WIDE)),
    Case("scaled product", lambda x, y: as_tracer(np.array(0.5)) * (x @ y), (TALL, WIDE)),
    # algebra
    Case("strip broadcasts", lambda x: x * np.broadcast_to(_constant(2.0), (8,)), (HARD,)),
    Case("strip broadcasts", lambda x: np.sin(np.broadcast_to(x, (3, 4))), (MATRIX[:1],)),
    Case("strip broadcasts", lambda x, y: x + reshape(y, shape=(1, 4)), (MATRIX, OTHER)),
    Case("x + 0", lambda x: x + 0.0, (HARD,)),
    Case("x + 0", lambda x: _constant(0.0, 0.0) + x, (np.array(1.5),)),
    Case("x - 0", lambda x: x - 0.0, (HARD,)),
    Case("0 - x", lambda x: 0.0 - x, (HARD,)),
    Case("x + -y", lambda x, y: x + (-y), (HARD[:4], OTHER)),
    Case("x + -y", lambda x, y: (-y) + x, (HARD[:4], OTHER)),
    Case("x - -y", lambda x, y: x - (-y), (HARD[4:], OTHER)),
    Case("-(-x)", lambda x: -np.negative(x), (HARD,)),
    Case("-(x - y)", lambda x, y: -(x - y), (HARD[:4], OTHER)),
    Case("x * 1", lambda x: x * 1.0, (HARD,)),
    Case("x * 1", lambda x: 1 * x, (COUNTS,)),
    Case("x / 1", lambda x: x / 1.0, (HARD,)),
    Case("x * -1", lambda x: x * -1.0, (HARD,)),
    Case("-x * y", lambda x, y: (-x) * y, (HARD[:4], OTHER)),
    Case("-x * y", lambda x: 3.0 * (-x), (HARD,)),
    Case("-x * y", lambda x: 3.0 / (-x), (HARD,)),
    Case("-(c * x)", lambda x: -(3.0 * x), (HARD,)),
    Case("x * x", lambda x: x * x, (HARD,)),
    Case("x * x", lambda x: x * x, (COUNTS,)),
    Case("x / power of two", lambda x: x / 8.0, (HARD,)),
    Case("c * (d * x)", lambda x: 0.5 * (2.0 * x), (HARD,)),
    Case("c * x * (d * y)", lambda x, y: (0.5 * x) * (y * 2.0), (HARD[4:], OTHER)),
    Case(
        "product guarded for nothing",
        lambda x: multiply_no_nan(x, np.broadcast_to(_constant(2.0), (8,))),
        (HARD,),
    ),
    Case(
        "product guarded for nothing",
        lambda x: multiply_no_nan(np.broadcast_to(_constant(0.0), (8,)), x),
        (HARD,),
    ),
    Case("literal power", lambda x: _power(x, 0.0), (HARD,)),
    Case("literal power", lambda x: _power(x, 1.0), (HARD,)),
    Case("literal power", lambda x: _power(x, 2.0), (HARD,)),
    Case("literal power", lambda x: _power(x, 2), (COUNTS,)),
    Case("literal power", lambda x: _power(x, 3), (HARD,)),
    Case("literal power", lambda x: _power(x, 4), (HARD,)),
    Case("literal power", lambda x: _power(x, -1.0), (HARD,)),
    Case("literal power", lambda x: _power(x, 0.5), (PLAIN,)),
    Case("literal power", lambda x: _power(x, 7), (PLAIN,)),
    Case("literal power", lambda x: _power(x, -0.5), (np.square(PLAIN),)),
    Case("sqrt of square", lambda x: np.sqrt(np.square(x)), (HARD[:7],)),
    Case("even of sign", lambda x: np.square(-x), (HARD,)),
    Case("even of sign", lambda x: np.absolute(np.absolute(x)), (HARD,)),
    Case("absolute of square", lambda x: np.absolute(np.square(x)), (HARD,)),
    Case("+x", lambda x: +x, (HARD,)),
    Case("extremum of same", lambda x: np.maximum(x, x), (HARD,)),
    Case("where of same", lambda c, x: np.where(c, x, x), (HARD > 0, HARD)),
    Case(
        "where of known",
        lambda x: where(np.broadcast_to(as_tracer(np.array(False)), (8,)), -x, x),
        (HARD,),
    ),
    Case(
        "where of not",
        lambda c, x: np.where(np.logical_not(c), x, 0.0),
        (HARD > 0, HARD),
    ),
    Case(
        "where in where",
        lambda c, x: np.where(c, np.where(c, x, 2.0), 0.0),
        (HARD > 0, HARD),
    ),
    Case("convert to same", lambda x: convert(x, dtype=np.dtype(float)), (HARD,)),
    Case("convert twice", lambda x: x.astype("f8").astype("f4"), (HARD.astype("f4"),)),
    Case("convert twice", lambda x: x.astype("i8").astype("f4"), (COUNTS.astype("i2"),)),
    # stabilize
    Case("log of sum of exp", lambda x: np.log(np.sum(np.exp(x), axis=1)), (MATRIX,)),
    Case(
        "log of sum of exp",
        lambda x: np.log(np.sum(np.exp(x), axis=0, keepdims=True)),
        (MATRIX,),
    ),
    Case(
        "log of scaled sum of exp",
        lambda x: np.log(np.sum(np.exp(x), axis=1) / 4.0),
        (MATRIX,),
    ),
    Case(
        "log of scaled sum of exp",
        lambda x: np.log(0.3 * np.sum(np.exp(x), axis=0)),
        (MATRIX,),
    ),
    Case("log of exponentials", lambda x, y: np.log(np.exp(x) + 2.0 * np.exp(y)), (PLAIN, OTHER)),
    Case("log of logistic", lambda x: np.log(expit(x)), (PLAIN,)),
    Case("log(exp(x) / y)", lambda x, y: np.log(np.exp(x) / y), (PLAIN, np.square(OTHER))),
    Case("log(exp(x))", lambda x: np.log(np.exp(x)), (PLAIN,)),
    Case("log(cosh(x))", lambda x: np.log(np.cosh(x)), (PLAIN,)),
    Case("log(1 + x)", lambda x: np.log(1.0 + x), (np.square(PLAIN),)),
    Case("log(1 + x)", lambda x: np.log(x + 1.0), (np.square(PLAIN),)),
    Case("log(1 + x)", lambda x: np.log(1.0 - x), (np.square(PLAIN) / 8,)),
    Case("log1p(exp(x))", lambda x: np.log1p(np.exp(x)), (PLAIN,)),
    Case("log1p(-logistic)", lambda x: np.log1p(-expit(x)), (PLAIN,)),
    Case("softplus", lambda x: np.logaddexp(x, 0.0), (HARD,)),
    Case("softmax", _softmax, (MATRIX,)),
    Case("softmax of shifted", _softmax_of_shifted, (MATRIX,)),
    Case("log of shifted sum", _log_of_shifted_sum, (MATRIX,)),
    Case("log of softmax of shifted", _log_softmax_of_shifted, (MATRIX,)),
    Case("logistic", lambda x: 1.0 / (1.0 + np.exp(-x)), (PLAIN,)),
    Case("logistic", lambda x: np.exp(x) / (np.exp(x) + 1.0), (PLAIN,)),
    Case("logistic reciprocal", lambda x: np.reciprocal(1.0 + np.exp(x)), (PLAIN,)),
    Case("1 - logistic", lambda x: 1.0 - expit(x), (PLAIN,)),
    Case("exp(x) - 1", lambda x: np.exp(x) - 1.0, (PLAIN,)),
    Case("exp(x) - 1", lambda x: 1.0 - np.exp(x), (PLAIN,)),
    Case("exp(x) - 1", lambda x: np.exp(x) + -1.0, (PLAIN,)),
    # factors that are the same along axes
    Case("x / few", lambda x, y: x / y[:, None], (MATRIX, PLAIN[:3])),
    Case("x / few", lambda x, y: x / y, (MATRIX, np.float64(3.0))),
    Case("few * (few * x)", lambda x, y: y[:, None] * (x * 3.0), (MATRIX, PLAIN[:3])),
    Case("few * (few * x)", lambda x, y: (y[0] * x) * y, (MATRIX, PLAIN)),
    Case("sum of scaled", lambda x, y: np.sum(x * y[:, None], axis=1), (MATRIX, PLAIN[:3])),
    Case("sum of scaled", lambda x: np.sum(0.1 * x), (MATRIX,)),
    Case("sum of centred", lambda x: np.sum(_centred(x), axis=1), (MATRIX,)),
    Case(
        "sum of centred", lambda x, y: np.sum(x * x - y * _centred(x), axis=1), (MATRIX, PLAIN[0])
    ),
    # what only derivatives see
    Case("settled power", lambda x: _power(x, -2.0), (PLAIN,)),
    Case("settled power", lambda x: _power(x, -3.0), (PLAIN,)),
    Case("settled power", lambda x: _power(x, 2.5), (np.square(PLAIN),)),
    Case("stop_gradient", lambda x: stop_gradient(x) + x, (HARD,)),
    Case("known result", lambda x: np.linalg.pinv(x), (MATRIX,)),
)
