"""What the body of a captured loop or branch must not do, since it is traced once.

It may change arrays, for these are traced, and the mutable objects it has made itself. Changing
others, calling code that may keep a state, and catching exceptions make a loop unroll. The hooks
of rewritten code come here: `made`, `changing`, `augmenting`, `attempt`; and every call, `checked`.
"""

from __future__ import annotations

import collections
import functools
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.errors import Location, TracingError, message, user_location
from adgraph.tracing.frames import (
    Uncapturable,
    captured,
    remark,
    top,
    tracing,
    uncapturable,
)
from adgraph.tracing.masked import Masked
from adgraph.tracing.numpy_api.flat import Flat
from adgraph.tracing.outside import is_outside
from adgraph.tracing.source import Variables
from adgraph.tracing.tracer import Tracer

_CONTAINERS = (list, dict, set, bytearray, collections.deque)
_MUTATORS = frozenset(
    [
        "add",
        "append",
        "appendleft",
        "byteswap",
        "clear",
        "difference_update",
        "discard",
        "extend",
        "extendleft",
        "fill",
        "insert",
        "intersection_update",
        "move_to_end",
        "partition",
        "pop",
        "popitem",
        "popleft",
        "put",
        "remove",
        "resize",
        "reverse",
        "rotate",
        "setdefault",
        "setfield",
        "setflags",
        "sort",
        "symmetric_difference_update",
        "update",
    ]
)
_STATELESS = (
    *(Tracer, Masked, np.ndarray, np.generic, np.ufunc, np.dtype),
    *(str, bytes, tuple, frozenset, range, slice, bool, int, float, complex),
)
_MODULES = frozenset(
    [
        "abc",
        "adgraph",
        "bisect",
        "builtins",
        "cmath",
        "collections",
        "copy",
        "dataclasses",
        "enum",
        "fractions",
        "functools",
        "itertools",
        "math",
        "numbers",
        "numpy",
        "operator",
        "scipy",
        "statistics",
        "string",
        "typing",
    ]
)
_STATEFUL = frozenset({"delattr", "eval", "exec", "input", "iter", "next", "open"})
_FIRST_ARGUMENT = frozenset(
    {"copyto", "fill_diagonal", "place", "put", "put_along_axis", "setattr"}
)


def made(obj: Any) -> Any:
    """A mutable object just made."""
    if captured():
        top().made[id(obj)] = obj
    return obj


def changing(obj: Any) -> Any:
    """An object of which an attribute or an item is about to be stored or deleted."""
    if captured() and not isinstance(obj, (Tracer, Masked, Flat)) and id(obj) not in top().made:
        raise uncapturable(_change(obj))
    if tracing() and isinstance(obj, np.ndarray) and is_outside(obj):
        raise _outside(obj)
    return obj


def _change(obj: Any) -> TracingError:
    return TracingError(
        message(
            f"{top().part.value} changes a {type(obj).__name__} that was there before",
            "the body is traced once and runs many times or not at all, so that what it does to "
            "objects other than arrays would be done once",
            "store in an array made in the traced function (np.zeros, ...), or make the object in "
            "the body",
        )
    )


def _outside(array: np.ndarray[Any, Any]) -> TracingError:
    return TracingError(
        message(
            f"a plain array of shape {array.shape} was written that was there before the call: a "
            "global, or one that the function closes over",
            "the function is traced once, so that the array would be written once and not in "
            "every call",
            "pass it as an argument, which may be written, or copy it first: a = np.array(a)",
        )
    )


def writing(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """A call that may write a plain array."""
    out = kwargs.get("out")
    targets = out if isinstance(out, tuple) else (out,)
    for target in (*targets, *_written_by(function, args)):
        if isinstance(target, np.ndarray):
            changing(target)


def drawing(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """A call that may draw a random number: it is made once, while tracing."""
    source = type(getattr(function, "__self__", None)).__module__
    if source.startswith(("numpy.random", "random")):
        if any(isinstance(x, Tracer) for x in args):
            raise TracingError(
                message(
                    f"{function.__name__}() of {source.partition('.')[0]}'s random numbers was "
                    "called with a traced array",
                    "it draws while tracing, when there are no numbers yet",
                    "draw standard numbers and compute with them, mean + scale * "
                    "rng.normal(size=n) or x[rng.permutation(n)], or use adgraph.random",
                )
            )
        module = "np.random" if source.startswith("numpy") else "random"
        remark(
            f"drawn once, a constant of the program: {function.__name__}() of {module} at "
            f"{user_location()}; for new numbers in every call pass them as an argument, or a key "
            "of adgraph.random"
        )


def _written_by(function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the operands that a call writes for certain."""
    owner, name = getattr(function, "__self__", None), getattr(function, "__name__", "")
    if isinstance(function, np.ufunc):
        return args[function.nin :]
    if isinstance(owner, np.ndarray) and name in _MUTATORS:
        return (owner,)
    at = isinstance(owner, np.ufunc) and name == "at"
    return args[:1] if at or name in _FIRST_ARGUMENT else ()


def augmenting(obj: Any) -> None:
    """A value that `name op= value` is about to change or replace."""
    if isinstance(obj, (*_CONTAINERS, np.ndarray)):
        changing(obj)


def attempt() -> Attempt:
    """The body of a `try` begins."""
    if captured():
        raise uncapturable(
            TracingError(
                message(
                    f"there is a try in {top().part.value} that is captured",
                    "the body is traced once; what it catches would be decided then",
                    "test for what may fail with an if, or move the try out of the loop",
                )
            )
        )
    return Attempt(user_location(), top().attempts if tracing() else [])


@dataclass(frozen=True)
class Attempt:
    """The context in which the body of a `try` runs; `around` lists those under way."""

    location: Location | None
    around: list[Location | None]

    def __enter__(self) -> None:
        self.around.append(self.location)

    def __exit__(self, *raised: object) -> None:
        self.around.pop()


def storing(*names: str) -> None:
    """A function or block begins that assigns global variables."""
    if captured():
        raise uncapturable(_state(f"the global variable {names[0]!r}"))


def sharing(variables: Variables) -> None:
    """A function begins that assigns variables of a function around it."""
    carried = [frame.cells for frame in top().around()] if captured() else []
    for name, cell in zip(variables.names, variables.cells, strict=True):
        if not all(id(cell) in cells for cells in carried):
            raise uncapturable(_state(f"the variable {name!r} of another function"))


def _state(variable: str) -> TracingError:
    return TracingError(
        message(
            f"{top().part.value} that is captured assigns {variable}",
            "the body is traced once and runs many times or not at all, and carries the variables "
            "of the function it stands in",
            "pass the value as an argument and return the new one",
        )
    )


def check_attempts(what: str) -> None:
    """Refuse what is decided only when the program runs, where a `try` would have to catch it."""
    attempts = top().attempts
    if attempts:
        raise uncapturable(
            TracingError(
                message(
                    f"{what} stands in a try",
                    "whether an exception is raised there is not known while tracing, and compiled "
                    "programs raise none for numbers",
                    "test for what may fail with an if, and move the try out of the function",
                    attempts[-1],
                )
            )
        )


def caught() -> None:
    """A handler of a `try` begins: that something cannot be traced is no error it may handle."""
    error = sys.exception()
    if tracing() and isinstance(error, (TracingError, Uncapturable)):
        raise error


def checked(function: Callable[..., Any], args: tuple[Any, ...], users: bool) -> None:
    """Refuse a call in a captured body that may change what is not traced."""
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__name__", "")
    if isinstance(owner, (*_CONTAINERS, np.ndarray)) and name in _MUTATORS:
        changing(owner)
    elif name in _FIRST_ARGUMENT and args:
        changing(args[0])
    elif not users and not _pure(function, owner, name):
        raise uncapturable(
            TracingError(
                message(
                    f"{top().part.value} calls {name or function!r}, which may keep a state",
                    "the body is traced once, so the call would be made once for all trips",
                    "call it before the loop (all random numbers at once, for example), and use "
                    "the elements of what it gives",
                )
            )
        )


def _pure(function: Callable[..., Any], owner: Any, name: str) -> bool:
    """Tell whether a function that is not the user's is known to keep no state."""
    if isinstance(function, functools.partial):
        return _pure(function.func, getattr(function.func, "__self__", None), name)
    if isinstance(function, (type, np.ufunc)) or _root(type(function)) == "adgraph":
        return True  # a traced function is one of ours
    if owner is not None and not isinstance(owner, (types.ModuleType, type)):
        return isinstance(owner, (*_STATELESS, *_CONTAINERS)) or _root(type(owner)) == "adgraph"
    module = getattr(function, "__module__", None) or type(function).__module__
    if module.startswith("numpy.random"):
        return False
    return _root(function) in _MODULES and name not in _STATEFUL


def _root(thing: Any) -> str:
    module = getattr(thing, "__module__", None) or type(thing).__module__
    return str(module).partition(".")[0]
