"""`axes=`, `axis=` and `keepdims=` of generalized ufuncs: `np.matmul`, `np.vecdot` and relatives.

What a ufunc takes as one element lies along its core axes, which its signature names. They are
moved to the end, where the ufunc expects them, and those of the result to where they are asked for.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.errors import ShapeError, TracingError, message

KEYWORDS = ("axes", "axis", "keepdims")
Axes = tuple[int, ...]


def call_along(
    ufunc: np.ufunc,
    apply: Callable[[tuple[Any, ...]], Any],
    args: tuple[Any, ...],
    keywords: dict[str, Any],
) -> Any:
    """Call `apply`, which takes core axes at the end, with those that the keywords name."""
    _check(ufunc, keywords)
    cores = _core_axes(ufunc, args)
    if keywords.get("keepdims"):
        cores[-1] = cores[0]
    places = _places(ufunc, keywords, cores)
    ends = [_last(core) for core in cores]
    moves = zip(args, places, ends, strict=False)
    result = apply(tuple(np.moveaxis(x, place, end) for x, place, end in moves))
    if keywords.get("keepdims"):
        result = np.expand_dims(result, ends[-1])
    return np.moveaxis(result, ends[-1], places[-1])


def _check(ufunc: np.ufunc, given: dict[str, Any]) -> None:
    """Refuse keywords that NumPy refuses, as the signature of the ufunc tells."""
    name = f"np.{ufunc.__name__}"
    *operands, result = _signature(ufunc)
    if not isinstance(given.get("keepdims", False), bool | np.bool):
        raise TracingError(message(f"{name}: keepdims={given['keepdims']!r} is no bool"))
    if "axes" in given and not isinstance(given["axes"], list):
        raise TracingError(message(f"{name}: axes={given['axes']!r} is no list"))
    if "axes" in given and "axis" in given:
        raise TracingError(message(f"{name} takes axes= or axis=, not both"))
    if "keepdims" in given and (result or len(set(map(len, operands))) > 1):
        raise TracingError(
            message(f"{name} takes no keepdims=", f"its signature is {ufunc.signature}")
        )
    if "axis" in given and len({core for cores in (*operands, result) for core in cores}) > 1:
        raise TracingError(
            message(
                f"{name} takes no axis=",
                f"its signature {ufunc.signature} has several axes",
                "write axes=, a list of tuples with the axes of each operand and of the result",
            )
        )


def _signature(ufunc: np.ufunc) -> list[list[str]]:
    """Return the names of the core axes of each operand and of the result."""
    return [re.findall(r"[^,]+", names) for names in re.findall(r"\((.*?)\)", str(ufunc.signature))]


def _core_axes(ufunc: np.ufunc, args: tuple[Any, ...]) -> list[list[str]]:
    """Return the core axes that operands of these ranks have: one with a `?` may be missing."""
    cores = _signature(ufunc)
    short = [core for core, x in zip(cores, args, strict=False) if np.ndim(x) < len(core)]
    missing = {name for core in short for name in core if name.endswith("?")}
    return [[name for name in core if name not in missing] for core in cores]


def _places(ufunc: np.ufunc, keywords: dict[str, Any], cores: list[list[str]]) -> list[Axes]:
    """Return where the core axes of each operand and of the result are, or shall be."""
    if "axis" in keywords:
        return [(operator.index(keywords["axis"]),) if core else () for core in cores]
    if "axes" not in keywords:
        return list(map(_last, cores))
    axes = [item if isinstance(item, tuple) else (item,) for item in keywords["axes"]]
    places = [tuple(map(operator.index, item)) for item in axes]
    if len(places) == ufunc.nin and not _signature(ufunc)[-1]:
        places.append(_last(cores[-1]))
    counts = list(map(len, cores))
    if list(map(len, places)) != counts:
        raise ShapeError(
            message(
                f"np.{ufunc.__name__}: axes={keywords['axes']} does not fit the signature "
                f"{ufunc.signature}",
                f"operands and result have {', '.join(map(str, counts))} axes of their own",
            )
        )
    return places


def _last(core: list[str]) -> Axes:
    return tuple(range(-len(core), 0))
