"""What rewritten source calls in place of Python's own constructs.

`call` looks at the object called: NumPy constructors, builtins that would ask a tracer for a
number, `math.*`, and the user's functions, which are rewritten in turn. Loops and branches are
captured where they can be (`loops`, `whiles`, `branches`) and run as Python would elsewhere.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import operator
import re
import sys
import types
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from adgraph.errors import TracingError, message, package_folder
from adgraph.ops.scipy_special import ALL, stand_in
from adgraph.tracing.array_interface import DISPATCH
from adgraph.tracing.branches import branch, choice, decided, predicate
from adgraph.tracing.frames import captured, current, tracing
from adgraph.tracing.items import items_of
from adgraph.tracing.loops import is_set, run
from adgraph.tracing.masked import Masked
from adgraph.tracing.numpy_api import callbacks
from adgraph.tracing.numpy_api.compressed import builtin
from adgraph.tracing.numpy_api.concatenators import CONCATENATORS, concatenated
from adgraph.tracing.numpy_api.creation import CONSTRUCTORS, contains_tracer
from adgraph.tracing.numpy_api.table import FUNCTIONS
from adgraph.tracing.purity import (
    attempt,
    augmenting,
    caught,
    changing,
    checked,
    drawing,
    made,
    sharing,
    storing,
    writing,
)
from adgraph.tracing.source import Variables, is_rewritten, rewrite
from adgraph.tracing.stand_ins import STAND_INS
from adgraph.tracing.tracer import (
    PythonNumber,
    ScalarTracer,
    Tracer,
    integer,
    known_value,
    read,
    tracer,
)
from adgraph.tracing.whiles import run_while

__all__ = [  # the hooks
    "and_",
    "attempt",
    "attribute",
    "augmented",
    "augmenting",
    "call",
    "caught",
    "changing",
    "for_",
    "getitem",
    "if_",
    "if_expression",
    "made",
    "not_",
    "or_",
    "setitem",
    "sharing",
    "storing",
    "while_",
]

# --- calls ----------------------------------------------------------------------------------------


def call(function: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Call a function as the rewritten source asks."""
    try:
        known = REPLACED.get(stand_in(function))
        replacement = builtin(function, args) or copying(function) or known
        args = args if replacement else _gathered(function, args)
    except TypeError:  # an unhashable callable is the user's own
        replacement = None
    writing(function, args, kwargs)
    if tracing():
        drawing(function, (*args, *kwargs.values()))
    if captured():
        return _call_in_body(function, replacement, args, kwargs)
    return (replacement or rewritten(function, (*args, *kwargs.values())))(*args, **kwargs)


def copying(function: Any) -> Callable[..., Any] | None:
    """Return what copies a plain array of floats: a copy may be written with traced values."""
    owner = getattr(function, "__self__", None)
    if not isinstance(owner, np.ndarray) or function.__name__ != "copy" or owner.dtype.kind != "f":
        return None
    return lambda order="C": CONSTRUCTORS[np.array](owner, order=order)


def _call_in_body(function: Any, replacement: Any, args: Any, kwargs: Any) -> Any:
    """Call a function in a body that is traced once: it must keep no state."""
    new = replacement or rewritten(function, (*args, *kwargs.values()))
    users = replacement is not None or new is not function or is_rewritten(new)
    checked(function, args, users=users)
    result = new(*args, **kwargs)
    fresh = isinstance(result, np.ndarray) and result.base is None
    if isinstance(function, type) or (fresh and not any(result is x for x in args)):
        made(result)
    return result


def rewritten(function: Any, operands: tuple[Any, ...] = ()) -> Any:
    """Return a user's function with its source rewritten; anything else as it is.

    A function of an installed package is the user's if an operand, or what it is bound to, is
    traced.
    """
    if type(function) is functools.partial:
        given = (*operands, *function.args, *function.keywords.values())
        inner = rewritten(function.func, given)
        return functools.partial(inner, *function.args, **function.keywords)
    plain = getattr(function, "__func__", function)
    if isinstance(plain, types.FunctionType):
        bound = getattr(getattr(function, "__self__", None), "__dict__", {})
        if is_users(plain) or (is_installed(plain) and _traced((*operands, *bound.values()))):
            return rewrite(function, sys.modules[__name__]) or _without_source(function)
        return _swapped(function)
    called = getattr(type(function), "__call__", None)  # noqa: B004  the function, not whether
    if isinstance(called, types.FunctionType) and (is_users(called) or is_installed(called)):
        return rewritten(types.MethodType(called, function), operands)
    return callbacks.vectorized(function) if type(function) is np.vectorize else _swapped(function)


def _without_source(function: Any) -> Any:
    """Return a function whose source cannot be read with the functions it names swapped.

    Its globals become a copy in which NumPy's constructors, `math` and the like are those of
    `REPLACED`. Calls of what is no global name, and subscripts of plain arrays, are not met.
    """
    if tracing():
        current().unread.append(function.__name__)
    if not isinstance(function, types.FunctionType) or _stores_globals(function.__code__):
        return function
    swapped = {name: _swapped(value) for name, value in function.__globals__.items()}
    for name in ("max", "min", "sum", "round"):
        swapped.setdefault(name, REPLACED[getattr(builtins, name)])
    twin = types.FunctionType(
        function.__code__, swapped, function.__name__, function.__defaults__, function.__closure__
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def _stores_globals(code: types.CodeType) -> bool:
    stores = any(i.opname in ("STORE_GLOBAL", "DELETE_GLOBAL") for i in dis.get_instructions(code))
    inner = (c for c in code.co_consts if isinstance(c, types.CodeType))
    return stores or any(map(_stores_globals, inner))


def _swapped(value: Any) -> Any:
    if isinstance(value, types.ModuleType):
        return _Module(value) if value.__name__ in _MODULES else value
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType)):
        return REPLACED.get(stand_in(value), value)
    return value


_SCIPY = (names.module for names in ALL)
_MODULES = ("numpy", "numpy.linalg", "math", "cmath", "scipy", *_SCIPY)


class _Module:
    """A module that gives the replacements of its functions."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return _swapped(getattr(self._module, name))


_LIBRARIES = tuple(f"{package_folder(name)}/" for name in ("numpy", "scipy", "adgraph"))
_STANDARD = f"{sys.prefix}/lib/python", f"{sys.base_prefix}/lib/python"


_INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]")


def is_users(function: types.FunctionType) -> bool:
    """Tell whether a function belongs neither to Python nor to an installed package."""
    file = function.__code__.co_filename
    foreign = file.startswith((*_LIBRARIES, *_STANDARD, "<frozen"))
    return not foreign and _INSTALLED.search(file) is None


def is_installed(function: types.FunctionType) -> bool:
    """Tell whether a function belongs to an installed package other than NumPy and SciPy."""
    file = function.__code__.co_filename
    return not file.startswith(_LIBRARIES) and _INSTALLED.search(file) is not None


def _traced(operands: Iterable[Any]) -> bool:
    """Tell whether an operand is traced, or a container with something traced."""
    return any(map(_is_traced, operands))


def _is_traced(x: Any) -> bool:
    if isinstance(x, (list, tuple)):
        return _traced(x)
    return _traced(x.values()) if isinstance(x, dict) else isinstance(x, (Tracer, Masked))


# --- functions of NumPy that take lists of arrays, or functions -----------------------------------


def _gathered(function: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Make arrays of lists with traced elements where NumPy would not look into them."""
    known = isinstance(function, np.ufunc) or function in FUNCTIONS
    if not known or not any(isinstance(x, (list, tuple)) for x in args):
        return args
    arrays = _array_parameters(function)
    return tuple(
        CONSTRUCTORS[np.asarray](x) if i in arrays and _is_list(x) else x
        for i, x in enumerate(args)
    )


def _is_list(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and contains_tracer(x)


_ARRAYS = "a a1 a2 A arr array ary b fp m p q v values weights x x1 x2 xp y z"


@functools.cache
def _array_parameters(function: Any) -> frozenset[int]:
    """Return the positions of the arrays among the parameters of a function of NumPy."""
    if isinstance(function, np.ufunc):
        return frozenset(range(function.nin))
    parameters = inspect.signature(function).parameters
    return frozenset(i for i, name in enumerate(parameters) if name in _ARRAYS.split())


def _calling_back(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy function that calls the user's functions, which are rewritten."""
    record = CONSTRUCTORS.get(function, function)

    def apply(*args: Any, **kwargs: Any) -> Any:
        given = [_rewritten_callables(x) for x in args]
        return record(*given, **{name: _rewritten_callables(x) for name, x in kwargs.items()})

    return apply


def _rewritten_callables(x: Any) -> Any:
    if isinstance(x, (list, tuple)) and any(map(callable, x)):
        return [_rewritten_callables(item) for item in x]
    return functools.partial(call, x) if callable(x) else x


callbacks.CALLS.call = call
callbacks.CALLS.rewrite = lambda function: rewrite(function, sys.modules[__name__])
_CALLING_BACK = (np.apply_along_axis, np.apply_over_axes, np.piecewise, np.fromfunction)

REPLACED: dict[Any, Callable[..., Any]] = {
    **STAND_INS,
    **{function: _calling_back(function) for function in _CALLING_BACK},
}


# --- subscripts -----------------------------------------------------------------------------------


def getitem(container: Any, key: Any) -> Any:
    """`container[key]`: a plain array indexed by a traced integer becomes a constant."""
    if isinstance(container, ScalarTracer):
        return DISPATCH.getitem(container, key)
    if isinstance(container, (np.ndarray, list, tuple)) and _traced_key(key):
        if isinstance(container, np.ndarray) or contains_tracer(container):
            return CONSTRUCTORS[np.array](container)[key]
        if isinstance(key, Tracer) and (kind := _only_numbers(container)) is not None:
            return tracer(read(DISPATCH.getitem(np.asarray(container), key)), kind)
    if isinstance(container, CONCATENATORS) and contains_tracer(key):
        return concatenated(container, key)
    return container[key]


def _only_numbers(items: Any) -> PythonNumber | None:
    """Return the type of the numbers in a list or tuple, if there is nothing else in it."""
    kinds = {type(x) for x in items}
    return kinds.pop() if len(kinds) == 1 and kinds <= {bool, int, float, complex} else None


def _traced_key(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    bounds = (x for p in parts if isinstance(p, slice) for x in (p.start, p.stop))
    return any(
        isinstance(p, Masked) or (isinstance(p, Tracer) and known_value(p) is None)
        for p in (*parts, *bounds)
    )


def setitem(container: Any, key: Any, value: Any) -> None:
    """`container[key] = value`."""
    if isinstance(container, ScalarTracer):
        DISPATCH.setitem(container, key, value)
        return
    if isinstance(container, np.ndarray) and (contains_tracer(value) or _traced_key(key)):
        raise TracingError(
            message(
                f"a traced value was stored into a plain NumPy array of shape {container.shape}",
                "the array was made outside the traced function (or by a function that adgraph "
                "does not see) and holds numbers only",
                "make it inside with np.zeros or np.empty, or copy it there: a = np.array(a)",
            )
        )
    changing(container)[key] = value


def augmented(name: str, container: Any, key: Any, value: Callable[[], Any]) -> None:
    """`container[key] op= value`: a view has been written already, anything else is put back."""
    piece = getitem(container, key)
    augmenting(piece)
    result = getattr(operator, name)(piece, value())
    if result is not piece or getattr(piece, "cell", None) is not getattr(container, "cell", piece):
        setitem(container, key, result)


# --- statements -----------------------------------------------------------------------------------


def for_(iterable: Any, body: Callable[[Any], Any], variables: Variables, line: int) -> None:
    """Run a loop; one over a range or an array becomes a node.

    The body returns whether the loop has been left by `break`.
    """
    found = items_of(iterable)
    if found is not None:
        run(found, body, variables)
        return
    for item in iterable:
        if is_set(body(item)):
            break


def while_(
    test: Callable[[], Any], body: Callable[[], None], variables: Variables, line: int
) -> None:
    """Run a loop on a condition; where Python cannot decide it, the loop becomes a node."""
    run_while(test, body, variables)


def if_(
    condition: Any,
    then: Callable[[], None],
    orelse: Callable[[], None],
    variables: Variables,
    line: int,
) -> None:
    """Take the branch of a condition that Python can decide, or record both."""
    test = predicate(condition)
    if test is not None:
        branch(test, then, orelse, variables)
    elif decided(condition):
        then()
    else:
        orelse()


def if_expression(condition: Any, then: Callable[[], Any], orelse: Callable[[], Any]) -> Any:
    """`a if condition else b`."""
    test = predicate(condition)
    if test is not None:
        return choice(test, then, orelse)
    return then() if decided(condition) else orelse()


def and_(*operands: Callable[[], Any]) -> Any:
    """`a and b`, each operand evaluated once and only when needed."""
    result = operands[0]()
    if len(operands) == 1:
        return result
    return if_expression(result, lambda: and_(*operands[1:]), lambda: result)


def or_(*operands: Callable[[], Any]) -> Any:
    """`a or b`, each operand evaluated once and only when needed."""
    result = operands[0]()
    if len(operands) == 1:
        return result
    return if_expression(result, lambda: result, lambda: or_(*operands[1:]))


def not_(operand: Any) -> Any:
    """`not a`."""
    test = predicate(operand)
    if test is None:
        return not decided(operand)
    result: Any = np.logical_not(test)
    result.weak = bool
    return result


# --- attributes -----------------------------------------------------------------------------------


def attribute(obj: Any, name: str) -> Any:
    """`obj.shape` or `obj.size`: extents that change with a loop index are traced integers."""
    if not isinstance(obj, Tracer):
        return getattr(obj, name)
    return tuple(map(integer, obj.shape)) if name == "shape" else integer(obj.size)
