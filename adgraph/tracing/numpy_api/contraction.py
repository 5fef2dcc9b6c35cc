"""einsum and tensordot: sums of products over named axes, lowered to matrix products.

`einsum` parses the subscripts, takes diagonals and sums within each operand, then contracts pairs
in the order that NumPy's path finder gives: `contract` turns one pair into a stack of matrix
products, or into an elementwise product where no axis is summed.
"""

from __future__ import annotations

import math
import string
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, message
from adgraph.tracing.numpy_api import reduction
from adgraph.tracing.numpy_api.diagonal import diagonal
from adgraph.tracing.numpy_api.linalg import matrix_product
from adgraph.tracing.numpy_api.shape import broadcast_to, normal_axis, reshape, transpose
from adgraph.tracing.numpy_api.table import implements, refuse, store
from adgraph.tracing.tracer import Tracer, as_tracer, result_dtype

OPTIMAL_OPERANDS = 4  # up to here the best order of all is searched, beyond it a greedy one


@dataclass(frozen=True)
class Term:
    """An operand and one label for each of its axes, all different."""

    array: Tracer
    labels: str


# --- subscripts -----------------------------------------------------------------------------------


def _fault(subscripts: str, why: str) -> ShapeError:
    return ShapeError(message(f"einsum: the subscripts {subscripts!r} do not fit", why))


def _parse(operands: tuple[Any, ...]) -> tuple[list[str], str | None, list[Any], str]:
    """Return the labels of the operands and of the result (None: implicit), and the operands."""
    if isinstance(operands[0], str):
        text = operands[0].replace(" ", "")
        left, arrow, right = text.partition("->")
        return left.split(","), right if arrow else None, list(operands[1:]), text
    pairs = len(operands) // 2
    terms = ["".join(map(_letter, operands[2 * i + 1])) for i in range(pairs)]
    result = "".join(map(_letter, operands[-1])) if len(operands) % 2 else None
    return terms, result, list(operands[: 2 * pairs : 2]), ",".join(terms)


def _letter(label: Any) -> str:
    return "..." if label is Ellipsis else string.ascii_letters[int(label)]


def _without_ellipsis(
    terms: list[str], result: str | None, arrays: list[Tracer], text: str
) -> tuple[list[str], str]:
    """Give the axes that an ellipsis stands for letters of their own; make the result explicit."""
    used = set("".join(terms)) | set(result or "")
    spare = [c for c in string.ascii_letters if c not in used]
    widths = [_ellipsis_width(t, a, text) for t, a in zip(terms, arrays, strict=True)]
    wide = max(widths, default=0)
    names = "".join(spare[:wide])
    full = [t.replace("...", names[wide - width :]) for t, width in zip(terms, widths, strict=True)]
    if result is None:
        counted = "".join(terms).replace(".", "")
        return full, names + "".join(sorted(c for c in set(counted) if counted.count(c) == 1))
    if wide and "..." not in result:
        raise _fault(text, "the axes of the ellipsis are missing in the result")
    return full, result.replace("...", names)


def _ellipsis_width(term: str, array: Tracer, text: str) -> int:
    """Return how many axes the ellipsis of a term stands for."""
    named = term.replace("...", "")
    if not all(c in string.ascii_letters for c in named):
        raise _fault(text, "labels are letters; an ellipsis is '...'")
    width = array.ndim - len(named)
    if width < 0 or (width and "..." not in term):
        raise _fault(text, f"{term!r} names {len(named)} axes of an array of shape {array.shape}")
    return width


def _extents(terms: list[str], arrays: list[Tracer], text: str) -> dict[str, int]:
    """Return the extent of every label; an axis of extent one broadcasts."""
    extents: dict[str, int] = {}
    for term, array in zip(terms, arrays, strict=True):
        for label, extent in zip(term, array.shape, strict=True):
            known = extents.setdefault(label, extent)
            if known == 1:
                extents[label] = extent
            elif extent not in (1, known):
                raise _fault(text, f"the label {label!r} has extents {known} and {extent}")
    return extents


# --- one operand ----------------------------------------------------------------------------------


def _prepared(array: Tracer, labels: str, extents: dict[str, int]) -> Term:
    """Broadcast axes of extent one, and take the diagonal of repeated labels."""
    shape = tuple(extents[label] for label in labels)
    array = array if array.shape == shape else broadcast_to(array, shape)
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            array = diagonal(array, 0, i, j)
            labels = labels[:i] + labels[i + 1 : j] + labels[j + 1 :] + label
    return Term(array, labels)


def _summed(term: Term, keep: set[str]) -> Term:
    """Sum over the labels that nothing else needs."""
    axes = tuple(i for i, label in enumerate(term.labels) if label not in keep)
    if not axes:
        return term
    total = as_tracer(reduction.sum(term.array, axes), term.array.dtype)
    return Term(total, "".join(label for label in term.labels if label in keep))


def _arranged(term: Term, labels: str) -> Tracer:
    result: Tracer = transpose(term.array, [term.labels.index(label) for label in labels])
    return result


# --- two operands ---------------------------------------------------------------------------------


def contract(a: Term, b: Term, keep: set[str]) -> Term:
    """Multiply two terms and sum over their common labels that nothing else needs."""
    a = _summed(a, keep | set(b.labels))
    b = _summed(b, keep | set(a.labels))
    shared = [label for label in a.labels if label in b.labels]
    stack = "".join(label for label in shared if label in keep)
    inner = "".join(label for label in shared if label not in keep)
    left = "".join(label for label in a.labels if label not in b.labels)
    right = "".join(label for label in b.labels if label not in a.labels)
    if not inner:
        return _multiplied(a, b, stack, left, right)
    if not left and not right:
        product = _multiplied(a, b, stack + inner, "", "")
        return _summed(product, keep)
    return _matrix_multiplied(a, b, stack, left, inner, right)


def _multiplied(a: Term, b: Term, stack: str, left: str, right: str) -> Term:
    """Multiply elementwise, the axes of only one operand being broadcast."""
    x, y = _arranged(a, stack + left), _arranged(b, stack + right)
    column = reshape(x, x.shape + (1,) * len(right))
    row = reshape(y, (*y.shape[: len(stack)], *(1,) * len(left), *y.shape[len(stack) :]))
    product = np.logical_and(column, row) if x.dtype.kind == "b" else column * row
    return Term(product, stack + left + right)


def _matrix_multiplied(a: Term, b: Term, stack: str, left: str, inner: str, right: str) -> Term:
    x, y = _arranged(a, stack + left + inner), _arranged(b, stack + inner + right)
    depth, width = len(stack), len(inner)
    batch = x.shape[:depth]
    rows, summed = x.shape[depth : x.ndim - width], x.shape[x.ndim - width :]
    columns = y.shape[depth + width :]
    first = reshape(x, (*batch, math.prod(rows), math.prod(summed)))
    second = reshape(y, (*batch, math.prod(summed), math.prod(columns)))
    product = reshape(matrix_product(first, second), (*batch, *rows, *columns))
    return Term(product, stack + left + right)


# --- einsum ---------------------------------------------------------------------------------------


@implements(np.einsum)
def einsum(
    *operands: Any,
    out: Any = None,
    dtype: Any = None,
    order: str = "K",
    casting: str = "safe",
    optimize: Any = False,
) -> Any:
    refuse("np.einsum", casting=None if casting == "safe" else casting)
    refuse("np.einsum", order=None if order in ("K", "C", "A") else order)
    terms, result, given, text = _parse(operands)
    if len(terms) != len(given):
        raise _fault(text, f"they name {len(terms)} operands, {len(given)} were given")
    common = np.dtype(dtype) if dtype is not None else result_dtype(*map(as_tracer, given))
    arrays = [as_tracer(x, common) for x in given]
    terms, target = _without_ellipsis(terms, result, arrays, text)
    extents = _extents(terms, arrays, text)
    if len(set(target)) != len(target) or not set(target) <= set(extents):
        raise _fault(text, "the result names a label twice, or one that no operand has")
    if not all(np.can_cast(as_tracer(x).dtype, common) for x in given):
        raise DtypeError(message(f"np.einsum: operands do not go safely into dtype={common}"))
    prepared = [_prepared(a, t, extents) for a, t in zip(arrays, terms, strict=True)]
    final = _summed(_contract_all(prepared, target, optimize), set(target))
    return store(_arranged(final, target), out, "np.einsum")


def _contract_all(terms: list[Term], target: str, optimize: Any) -> Term:
    """Contract pair by pair until one term is left."""
    for group in contraction_order(terms, target, optimize):
        chosen = [terms[i] for i in group]
        terms = [t for i, t in enumerate(terms) if i not in group]
        first = chosen[0]
        for i, other in enumerate(chosen[1:], 1):
            outside = (*chosen[i + 1 :], *terms)
            first = contract(first, other, set(target).union(*(t.labels for t in outside)))
        terms.append(first)
    (final,) = terms
    return final


def contraction_order(terms: list[Term], target: str, optimize: Any) -> list[tuple[int, ...]]:
    """Return which terms to contract in turn; the result of each step is put at the end.

    Without an order from the user, that is the cheapest, or for many terms a greedy one.
    """
    if len(terms) == 1:
        return []
    if len(terms) == 2 and optimize in (True, False):
        return [(0, 1)]
    labels = ",".join(t.labels for t in terms)
    if optimize in (True, False):
        optimize = "optimal" if len(terms) <= OPTIMAL_OPERANDS else "greedy"
    path, _ = np.einsum_path(f"{labels}->{target}", *map(_outline, terms), optimize=optimize)
    return [tuple(step) for step in path[1:]]


def _outline(term: Term) -> Any:
    """Return an array without memory of a term's shape, by which NumPy finds an order."""
    return np.broadcast_to(np.zeros(()), term.array.shape)


@implements(np.einsum_path, differentiable=False)
def einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> Any:
    """The order depends on the shapes only, so NumPy finds it."""
    refuse("np.einsum_path", einsum_call=einsum_call)
    outlines: list[Any] = [
        np.broadcast_to(np.zeros(()), x.shape) if isinstance(x, Tracer) else x for x in operands
    ]
    return np.einsum_path(*outlines, optimize=optimize)


# --- tensordot ------------------------------------------------------------------------------------


@implements(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    x, y = as_tracer(a), as_tracer(b)
    dtype = result_dtype(x, y)
    x, y = as_tracer(x, dtype), as_tracer(y, dtype)
    first, second = _paired_axes(axes, x, y)
    letters = string.ascii_letters
    left = list(letters[: x.ndim])
    right = list(letters[x.ndim : x.ndim + y.ndim])
    for i, j in zip(first, second, strict=True):
        right[j] = left[i]
    keep = [c for c in left if c not in right] + [c for c in right if c not in left]
    product = contract(Term(x, "".join(left)), Term(y, "".join(right)), set(keep))
    return _arranged(product, "".join(keep))


def _paired_axes(axes: Any, x: Tracer, y: Tracer) -> tuple[list[int], list[int]]:
    """Return the axes of both operands that are summed together."""
    if np.ndim(axes) == 0 and not isinstance(axes, (tuple, list)):
        count = int(axes)
        if not 0 <= count <= min(x.ndim, y.ndim):
            raise ShapeError(
                message(f"np.tensordot: axes={count} for arrays of {x.ndim} and {y.ndim} axes")
            )
        first, second = list(range(x.ndim - count, x.ndim)), list(range(count))
    else:
        first, second = (
            [normal_axis(i, t.ndim) for i in (side if np.ndim(side) else [side])]
            for side, t in zip(axes, (x, y), strict=True)
        )
    extents = [x.shape[i] for i in first], [y.shape[j] for j in second]
    if extents[0] != extents[1] or len(set(first)) != len(first) or len(set(second)) != len(second):
        raise ShapeError(
            message(
                f"np.tensordot: axes {first} of shape {x.shape} and {second} of shape {y.shape} "
                "do not fit",
                "the summed axes must have equal extents and be named once",
            )
        )
    return first, second
