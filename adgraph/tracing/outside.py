"""Plain arrays that were there before a trace: globals, and what the function closes over.

Writing one while tracing would happen once, and not in every call of the compiled program.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import numpy as np

from adgraph.tracing.frames import top


def is_outside(array: np.ndarray[Any, Any]) -> bool:
    """Tell whether an array, or one it is a view of, was there before the trace."""
    owners = set(map(id, _bases(array)))
    return not owners.isdisjoint(top().outside) or any(
        id(x) in owners
        for namespace in _namespaces()
        for x in namespace.values()
        if isinstance(x, np.ndarray)
    )


def _bases(array: Any) -> Iterator[Any]:
    while isinstance(array, np.ndarray):
        yield array
        array = array.base


def _namespaces() -> list[dict[str, Any]]:
    """Return the globals of all functions that are running."""
    found: dict[int, dict[str, Any]] = {}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        found[id(frame.f_globals)] = frame.f_globals
        frame = frame.f_back
    return list(found.values())


def held_arrays(function: Callable[..., Any]) -> set[int]:
    """Return the ids of the arrays that a function closes over, has as defaults or is bound to."""
    return {id(x) for x in _held(function) if isinstance(x, np.ndarray)}


def _held(function: Any) -> Iterator[Any]:
    if isinstance(function, functools.partial):
        yield from (*function.args, *function.keywords.values(), *_held(function.func))
    elif isinstance(function, types.MethodType):
        yield from (
            vars(function.__self__).values() if hasattr(function.__self__, "__dict__") else ()
        )
        yield from _held(function.__func__)
    elif isinstance(function, types.FunctionType):
        yield from function.__defaults__ or ()
        yield from (function.__kwdefaults__ or {}).values()
        yield from _contents(function.__closure__ or ())


def _contents(cells: tuple[types.CellType, ...]) -> Iterator[Any]:
    for cell in cells:
        try:
            yield cell.cell_contents
        except ValueError:  # a variable that is not bound yet
            continue
