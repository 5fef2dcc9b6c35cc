"""Numerically better forms of common formulas: the table `STABLE`.

The rules rewrite the primal program, before it is differentiated, so that gradients are as good as
values: log(1 + x) keeps small x, the logarithm of a sum of exponentials and softmax neither
overflow nor underflow. What cancels in a derivative is not differentiated. Results differ from the
formula's own by the rounding that is avoided.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.graph import Graph
from adgraph.ir.op import Kind
from adgraph.ir.types import Slice
from adgraph.ops.constant import stop_gradient
from adgraph.ops.elementwise import where
from adgraph.ops.reduction import reduce_max, reduce_sum, spread
from adgraph.ops.shape import broadcast, getitem, reshape
from adgraph.ops.special import expit, log_expit
from adgraph.passes.rewrite import Hits, Table, rewrite
from adgraph.passes.rules import Rule, Site, equals, literal, same

# --- logarithms ----------------------------------------------------------------------------------


def _log_of_exponentials(site: Site) -> Any:
    """log(exp(a) + c exp(b) + d) adds logarithms."""
    (x,) = site.args
    if site.made(x, np.add, np.multiply) is None or not _real(site):
        return None
    result, exponentials = _logarithm(site, x)
    return site.fitted(result) if exponentials else None


def _logarithm(site: Site, x: Any) -> tuple[Any, int]:
    """Return the logarithm of a sum of exponentials and their number; 0 if `x` is no such sum."""
    number = literal(x)
    if number is not None:
        return (site.number(np.log(number)), 0) if number > 0 else (None, 0)
    if (exponential := site.made(x, np.exp)) is not None:
        return exponential.args[0], 1
    if (product := site.made(x, np.multiply)) is not None:
        return _logarithm_of_product(site, product)
    if (total := site.made(x, np.add)) is not None:
        (a, m), (b, n) = (_logarithm(site, term) for term in total.args)
        if a is not None and b is not None and m + n:
            return np.logaddexp(a, b), m + n
    return None, 0


def _logarithm_of_product(site: Site, product: Site) -> tuple[Any, int]:
    for factor, x in (product.args, product.args[::-1]):
        number = literal(factor)
        if number is not None and number > 0:
            log, count = _logarithm(site, x)
            return (log + site.number(np.log(number)), count) if count else (None, 0)
    return None, 0


def _log_of_one_plus(site: Site) -> Any:
    inner = site.made(site.args[0], np.add, np.subtract)
    if inner is None or not _real(site):
        return None
    a, b = inner.args
    if inner.op.numpy is np.subtract:
        return site.fitted(np.log1p(-b)) if equals(a, 1) else None
    if equals(a, 1):
        return site.fitted(np.log1p(b))
    return site.fitted(np.log1p(a)) if equals(b, 1) else None


def _log1p_of_exp(site: Site) -> Any:
    inner = site.made(site.args[0], np.exp)
    return None if inner is None or not _real(site) else np.logaddexp(site.number(0), inner.args[0])


def _log_of_exp(site: Site) -> Any:
    inner = site.made(site.args[0], np.exp)
    return None if inner is None or not _real(site) else inner.args[0]


def _log_of_exp_quotient(site: Site) -> Any:
    """log(exp(x) / y) is x - log(y): the logarithm of a softmax."""
    inner = site.made(site.args[0], np.divide)
    above = None if inner is None else site.made(inner.args[0], np.exp)
    if inner is None or above is None or not _real(site):
        return None
    return site.fitted(above.args[0] - np.log(inner.args[1]))


def _log_of_cosh(site: Site) -> Any:
    inner = site.made(site.args[0], np.cosh)
    if inner is None or not _real(site):
        return None
    (x,) = inner.args
    return np.logaddexp(x, -x) - site.number(np.log(2))


def _real(site: Site) -> bool:
    return site.type.dtype.kind == "f"


# --- sums of exponentials over axes --------------------------------------------------------------


def _log_of_sum(site: Site) -> Any:
    """log(sum(exp(x))) is the largest x plus the logarithm of a sum that cannot overflow."""
    total = _sum_of_exponentials(site, site.args[0])
    if total is None:
        return None
    x, axis = total.args[0], total.attrs["axis"]
    top, shifted = _shift(site, x, axis)
    return np.reshape(top + np.log(reduce_sum(np.exp(shifted), axis=axis)), site.type.shape)


def _log_of_scaled_sum(site: Site) -> Any:
    """The logarithm of a mean of exponentials is that of their sum, less that of their number."""
    scaled = site.made(site.args[0], np.multiply, np.divide)
    if scaled is None:
        return None
    total, factor = scaled.args
    if scaled.op.numpy is np.multiply and literal(total) is not None:
        total, factor = factor, total
    number = literal(factor)
    if number is None or not number > 0 or _sum_of_exponentials(site, total) is None:
        return None
    log = site.number(np.log(number))
    return np.log(total) + (log if scaled.op.numpy is np.multiply else -log)


def _softmax(site: Site) -> Any:
    above = site.made(site.args[0], np.exp)
    total = _sum_of_exponentials(site, site.args[1])
    if above is None or total is None or not same(above.args[0], total.args[0]):
        return None
    x, axis = total.args[0], total.attrs["axis"]
    _, shifted = _shift(site, x, axis)
    exponentials = np.exp(shifted)
    below = np.reshape(reduce_sum(exponentials, axis=axis), site.args[1].shape)
    return site.fitted(exponentials / below)


def _sum_of_exponentials(site: Site, x: Any) -> Site | None:
    """Return the site of the sum with the exponents in place of its operand."""
    total = site.made(x, reduce_sum)
    if total is None and (shaped := site.made(x, reshape)) is not None:
        total = site.made(shaped.args[0], reduce_sum)
    if total is None or not _real(total):
        return None
    inner = total.made(total.args[0], np.exp)
    if inner is None or not inner.type.size or _is_shifted(inner):
        return None
    return total.with_args(inner.args)


def _shift(site: Site, x: Any, axis: tuple[int, ...]) -> tuple[Any, Any]:
    """Return the largest x over axes, 0 where it is infinite, and x minus it.

    The derivative does not see the shift, which cancels.
    """
    largest = stop_gradient(reduce_max(x, axis=axis))
    top = where(np.isfinite(largest), largest, site.number(0))
    return top, x - spread(top, x.type, axis)


def _is_shifted(exponential: Site) -> bool:
    """Tell whether exponents are smaller by their maximum already."""
    difference = exponential.made(exponential.args[0], np.subtract)
    if difference is None:
        return False
    shift = difference.args[1]
    while (step := exponential.made(shift, Kind.VIEW, stop_gradient, where)) is not None:
        shift = step.args[1] if step.op is where else step.args[0]
    top = exponential.made(shift, reduce_max)
    return top is not None and same(top.args[0], difference.args[0])


# --- shifts by the user's own maximum: the derivative does not see them ---------------------------


def _softmax_of_shifted(site: Site) -> Any:
    """exp(x - m) / sum(exp(x - m)) does not depend on m."""
    above = site.made(site.args[0], np.exp)
    total = _folded(site, site.args[1])
    if above is None or total is None or not same(site.args[0], total.args[0]):
        return None
    shifted = _without_derivative(above, total.attrs["axis"])
    if shifted is None:
        return None
    exponentials = np.exp(shifted)
    below = reduce_sum(exponentials, axis=total.attrs["axis"])
    return site.fitted(exponentials / np.reshape(below, _unstretched(site, site.args[1]).shape))


def _log_of_shifted_sum(site: Site) -> Any:
    """log(sum(exp(x - m))) + m does not depend on m."""
    for logarithm, shift in (site.args, site.args[::-1]):
        total = _sum_of_shifted(site, logarithm)
        if total is None:
            continue
        exponential = total.made(total.args[0], np.exp)
        shifted = None if exponential is None else _without_derivative(exponential, **total.attrs)
        if shifted is None or not _is_shift_of(site, shift, total):
            continue
        below = np.log(reduce_sum(np.exp(shifted), axis=total.attrs["axis"]))
        return site.fitted(np.reshape(below, logarithm.shape) + stop_gradient(shift))
    return None


def _log_softmax_of_shifted(site: Site) -> Any:
    """(x - m) - log(sum(exp(x - m))) does not depend on m."""
    difference, logarithm = site.args
    total = _sum_of_shifted(site, logarithm)
    exponential = None if total is None else total.made(total.args[0], np.exp)
    if total is None or exponential is None or not same(exponential.args[0], difference):
        return None
    shifted = _without_derivative(exponential, total.attrs["axis"])
    if shifted is None:
        return None
    below = np.log(reduce_sum(np.exp(shifted), axis=total.attrs["axis"]))
    return site.fitted(shifted - np.reshape(below, _unstretched(site, logarithm).shape))


def _unstretched(site: Site, x: Any) -> Any:
    """Return an operand before it was broadcast."""
    stretched = site.made(x, broadcast)
    return x if stretched is None else stretched.args[0]


def _folded(site: Site, x: Any) -> Site | None:
    """Return the site of the sum that `x` is a view of."""
    x = _unstretched(site, x)
    shaped = site.made(x, reshape)
    total = site.made(x if shaped is None else shaped.args[0], reduce_sum)
    return None if total is None or not _real(total) else total


def _sum_of_shifted(site: Site, x: Any) -> Site | None:
    """Return the site of the sum whose logarithm `x` is, under whatever shape."""
    x = _unstretched(site, x)
    shaped = site.made(x, reshape)
    logarithm = site.made(x if shaped is None else shaped.args[0], np.log)
    return None if logarithm is None else _folded(site, logarithm.args[0])


def _without_derivative(exponential: Site, axis: tuple[int, ...]) -> Any:
    """Return x - m for exp(x - m), with m held fixed, if m is a maximum, the same along axes."""
    difference = exponential.made(exponential.args[0], np.subtract)
    if difference is None or not _real(exponential):
        return None
    x, shift = difference.args
    source = _unstretched(exponential, shift)
    extents = (1,) * (exponential.args[0].ndim - source.ndim) + source.shape
    if any(extents[a] != 1 for a in axis) or _maximum_behind(exponential, shift) is None:
        return None
    return x - stop_gradient(shift)


def _maximum_behind(site: Site, x: Any) -> Any:
    """Return the maximum that `x` shows in another shape, its elements in order."""
    while (view := site.made(x, Kind.VIEW)) is not None:
        if view.op not in (broadcast, reshape) and not _drops_axes(view):
            return None
        x = view.args[0]
    return x if site.made(x, reduce_max) is not None else None


def _drops_axes(view: Site) -> bool:
    """Tell whether a view does nothing but drop axes of extent one."""
    return (
        view.op is getitem
        and [n for n in view.args[0].shape if n != 1] == [n for n in view.type.shape if n != 1]
        and all(not isinstance(i, Slice) or i.step == 1 for i in view.attrs["index"])
    )


def _is_shift_of(site: Site, shift: Any, total: Site) -> bool:
    """Tell whether a sum of exponentials was shifted by what is added to its logarithm."""
    exponential = total.made(total.args[0], np.exp)
    difference = None if exponential is None else total.made(exponential.args[0], np.subtract)
    if difference is None:
        return False
    first, second = (_maximum_behind(site, x) for x in (difference.args[1], shift))
    return first is not None and second is not None and same(first, second)


# --- exponentials and the logistic function ------------------------------------------------------


def _exp_minus_one(site: Site) -> Any:
    if not _real(site):
        return None
    a, b = site.args
    sign = 1 if site.op.numpy is np.subtract else -1
    if (inner := site.made(a, np.exp)) is not None and equals(b, sign):
        return site.fitted(np.expm1(inner.args[0]))
    if (inner := site.made(b, np.exp)) is None:
        return None
    if sign == 1 and equals(a, 1):
        return site.fitted(-np.expm1(inner.args[0]))
    return site.fitted(np.expm1(inner.args[0])) if sign == -1 and equals(a, -1) else None


def _one_plus_exp(site: Site, x: Any) -> Any:
    """Return z where `x` is 1 + exp(z), else None."""
    total = site.made(x, np.add)
    if total is None or total.type.dtype.kind != "f":
        return None
    for one, term in (total.args, total.args[::-1]):
        inner = site.made(term, np.exp)
        if inner is not None and equals(one, 1):
            return inner.args[0]
    return None


def _logistic(site: Site) -> Any:
    above, below = site.args
    z = _one_plus_exp(site, below)
    if z is None:
        return None
    inner = site.made(above, np.exp)
    if inner is not None and same(inner.args[0], z):
        return site.fitted(expit(z))
    return site.fitted(above * expit(-z))


def _logistic_reciprocal(site: Site) -> Any:
    z = _one_plus_exp(site, site.args[0])
    return None if z is None else site.fitted(expit(-z))


def _one_minus_logistic(site: Site) -> Any:
    inner = site.made(site.args[1], expit)
    return (
        site.fitted(expit(-inner.args[0]))
        if inner is not None and equals(site.args[0], 1)
        else None
    )


def _log_of_logistic(site: Site) -> Any:
    inner = site.made(site.args[0], expit)
    return None if inner is None else -np.logaddexp(site.number(0), -inner.args[0])


def _softplus(site: Site) -> Any:
    """log(1 + exp(x)) and its derivative share one exponential as the logarithm of a logistic."""
    for zero, x in (site.args, site.args[::-1]):
        if equals(zero, 0) and literal(x) is None:
            return site.fitted(-log_expit(-x))
    return None


def _log1p_of_minus_logistic(site: Site) -> Any:
    negative = site.made(site.args[0], np.negative)
    inner = None if negative is None else site.made(negative.args[0], expit)
    return None if inner is None else -np.logaddexp(site.number(0), inner.args[0])


AVOIDED = "rounding and overflow that the formula would have"

STABLE = Table(
    (
        Rule("log of sum of exp", (np.log,), _log_of_sum, AVOIDED),
        Rule("log of scaled sum of exp", (np.log,), _log_of_scaled_sum, AVOIDED),
        Rule("log of exponentials", (np.log,), _log_of_exponentials, AVOIDED),
        Rule("log of logistic", (np.log,), _log_of_logistic, AVOIDED),
        Rule("log(exp(x) / y)", (np.log,), _log_of_exp_quotient, AVOIDED),
        Rule("log(exp(x))", (np.log,), _log_of_exp, AVOIDED),
        Rule("log(cosh(x))", (np.log,), _log_of_cosh, AVOIDED),
        Rule("log(1 + x)", (np.log,), _log_of_one_plus, AVOIDED),
        Rule("log1p(exp(x))", (np.log1p,), _log1p_of_exp, AVOIDED),
        Rule("log1p(-logistic)", (np.log1p,), _log1p_of_minus_logistic, AVOIDED),
        Rule("softplus", (np.logaddexp,), _softplus, "rounding, zero signs"),
        Rule("softmax", (np.divide,), _softmax, AVOIDED, (np.exp,)),
        Rule("softmax of shifted", (np.divide,), _softmax_of_shifted, behind=(np.exp,)),
        Rule("log of shifted sum", (np.add,), _log_of_shifted_sum, behind=(Kind.VIEW, np.log)),
        Rule(
            "log of softmax of shifted",
            (np.subtract,),
            _log_softmax_of_shifted,
            behind=(Kind.VIEW, np.log),
        ),
        Rule("logistic", (np.divide,), _logistic, AVOIDED, (np.add,)),
        Rule("logistic reciprocal", (np.reciprocal,), _logistic_reciprocal, AVOIDED),
        Rule("1 - logistic", (np.subtract,), _one_minus_logistic, AVOIDED, (expit,)),
        Rule("exp(x) - 1", (np.subtract, np.add), _exp_minus_one, AVOIDED, (np.exp,)),
    )
)


def stabilize(graph: Graph, hits: Hits | None = None) -> Graph:
    """Replace formulas by numerically better ones."""
    return rewrite(graph, STABLE, hits)
