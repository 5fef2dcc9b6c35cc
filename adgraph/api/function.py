"""`trace` and what it returns: a function that runs as compiled programs and has derivatives.

The modules beside this one enter the makers of derivatives in `BY_ARGUMENT` and `AT_POINT`; the
methods of `Function` call them by name.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from adgraph.curve import MemoryCurve
from adgraph.errors import TracingError, message
from adgraph.ir.graph import Graph
from adgraph.lower.backend import Backend, check_backend
from adgraph.lower.pool import check_threads
from adgraph.profile import Profile, profile_call
from adgraph.runtime.calls import OTHERWISE, natively_called, ways_of
from adgraph.runtime.dispatch import Dispatcher, Options, resolve_static
from adgraph.runtime.entrance import FIRST_WAY, WAYS
from adgraph.runtime.explain import Explanation, explain_entry
from adgraph.schedule.budget import parse_budget
from adgraph.timeline import MemoryPlan, memory_plan
from adgraph.tracing.frames import tracing, under_way
from adgraph.tracing.hooks import rewritten

Argnums = int | Sequence[int]
Maker = TypeVar("Maker", bound=Callable[..., Any])
PLAIN = Options()

# Makers of functions from (function, argnums), and of results from (function, values).
BY_ARGUMENT: dict[str, Callable[..., Function]] = {}
AT_POINT: dict[str, Callable[..., Any]] = {}


def by_argument(maker: Maker) -> Maker:
    """Make a derivative a property of every traced function."""
    BY_ARGUMENT[maker.__name__] = maker
    return maker


def at_point(maker: Maker) -> Maker:
    """Make a derivative a method of every traced function."""
    AT_POINT[maker.__name__] = maker
    return maker


class Function:
    """A NumPy function that runs as compiled programs, one per signature of its arguments.

    >>> @trace
    ... def f(x):
    ...     return np.sum(x**2)
    >>> f(np.array([1.0, 2.0]))
    np.float64(5.0)
    >>> f.grad(np.array([1.0, 2.0]))
    array([2., 4.])
    """

    # A place of its own makes this the base that `native_function` has its layout from.
    __slots__ = ("__dict__", "__weakref__", WAYS)

    def __init__(self, function: Callable[..., Any], options: Options = PLAIN) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.dispatch = Dispatcher(function, options)
        self.derived: dict[str, Function] = {}
        self.ways: tuple[Any, ...] = ()

    @property
    def options(self) -> Options:
        """What `@trace` was given."""
        return self.dispatch.options

    def __repr__(self) -> str:
        return f"<traced {getattr(self.function, '__name__', 'function')}>"

    def __reduce__(self) -> Any:
        """Pickle and copy the function and its options, not its programs."""
        module = sys.modules.get(self.function.__module__)
        name = getattr(self.function, "__qualname__", "")
        if getattr(module, name, None) is self:
            return name
        return Function, (self.function, self.options)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind a traced method."""
        return self if instance is None else Bound(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program for these arguments; inside another trace, become part of it."""
        return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if under_way and tracing():
            return rewritten(self.function, (*args, *kwargs.values()))(*args, **kwargs)
        for call in self.dispatch.direct:
            result = call(args, kwargs)
            if result is not OTHERWISE:
                return result
        result = self.dispatch(args, kwargs)
        self._prefer_native_calls()
        return result

    def _prefer_native_calls(self) -> None:
        """From now on call programs without Python, those that can be called so.

        A call is then one of the type that the instance becomes, whose own is `_call`.
        """
        self.ways = ways_of(self.dispatch.direct, under_way, Function._call)
        if type(self) is Function and len(self.ways) > FIRST_WAY:
            self.__class__ = native_function()

    # --- seeing the program -------------------------------------------------------------------

    def graph(self, *args: Any, **kwargs: Any) -> Graph:
        """Return the program for these arguments (arrays, or `ArrayType`s) as a graph."""
        return self.dispatch.entry(args, kwargs).graph

    def kernels(self, *args: Any, **kwargs: Any) -> Graph:
        """Return the program after fusion: every `fused` node is one kernel."""
        return self.dispatch.entry(args, kwargs).compiled.program.graph

    def source(self, *args: Any, **kwargs: Any) -> str:
        """Return the source of the kernels for these arguments."""
        return self.dispatch.entry(args, kwargs).compiled.program.source()

    def plan(self, *args: Any, **kwargs: Any) -> MemoryPlan:
        """Return where every array of the program lies, and when: `print` it, or `draw()` it."""
        entry = self.dispatch.entry(args, kwargs)
        program, name = entry.compiled.program, entry.trace.graph.name
        return memory_plan(program.schedule, program.plan, name, entry.budget)

    def memory(self, *args: Any, measure: bool = False, **kwargs: Any) -> MemoryCurve:
        """Return the bytes that budgets make of the program, against the time it then takes.

        Times are estimated, or measured on request, which compiles and runs a program a point.
        """
        module = importlib.import_module("adgraph.api.memory")
        curve: MemoryCurve = module.memory_curve(self, args, kwargs, measure=measure)
        return curve

    def explain(self, *args: Any, **kwargs: Any) -> Explanation:
        """Return what the program for these arguments costs and how it was made."""
        return explain_entry(self.dispatch.entry(args, kwargs), self.options.backend)

    def profile(self, *args: Any, **kwargs: Any) -> Profile:
        """Run the program for these arguments; return how long every kernel of it takes."""
        call = functools.partial(self, *args, **kwargs)
        return profile_call(self.dispatch, args, kwargs, call)

    # --- from other compiled code --------------------------------------------------------------

    @functools.cached_property
    def numba(self) -> Callable[..., Any]:
        """The same function as one to call inside Numba's `@njit`, also in `prange`.

        Arguments are arrays, numbers and tuples of them; of arrays, call it once in Python with
        an example first: shapes may differ inside, dtypes and numbers of axes not.
        """
        module = importlib.import_module("adgraph.api.in_numba")
        function: Callable[..., Any] = module.numba_function(self)
        return function

    def low_level_callable(self, *args: Any, signature: str | None = None) -> Any:
        """Return a C callback for SciPy: see `adgraph.api.low_level`."""
        module = importlib.import_module("adgraph.api.low_level")
        return module.low_level_callable(self, *args, signature=signature)

    # --- derivatives ---------------------------------------------------------------------------

    @functools.cached_property
    def grad(self) -> Function:
        """The gradient by the first argument: see `adgraph.grad`."""
        return BY_ARGUMENT["grad"](self)

    @functools.cached_property
    def value_and_grad(self) -> Function:
        """The value and the gradient: see `adgraph.value_and_grad`."""
        return BY_ARGUMENT["value_and_grad"](self)

    @functools.cached_property
    def jacobian(self) -> Function:
        """The Jacobian by the cheaper mode: see `adgraph.jacobian`."""
        return BY_ARGUMENT["jacobian"](self)

    @functools.cached_property
    def jacfwd(self) -> Function:
        """The Jacobian by forward mode: see `adgraph.jacfwd`."""
        return BY_ARGUMENT["jacfwd"](self)

    @functools.cached_property
    def jacrev(self) -> Function:
        """The Jacobian by reverse mode: see `adgraph.jacrev`."""
        return BY_ARGUMENT["jacrev"](self)

    @functools.cached_property
    def hessian(self) -> Function:
        """The matrix of second derivatives: see `adgraph.hessian`."""
        return BY_ARGUMENT["hessian"](self)

    @functools.cached_property
    def hvp(self) -> Function:
        """The product of Hessian and vector: see `adgraph.hvp`."""
        return BY_ARGUMENT["hvp"](self)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        """Return the value and its directional derivative: see `adgraph.jvp`."""
        result: tuple[Any, Any] = AT_POINT["jvp"](self, primals, tangents)
        return result

    def vjp(self, *primals: Any, has_aux: bool = False) -> Any:
        """Return the value and its pullback: see `adgraph.vjp`."""
        return AT_POINT["vjp"](self, *primals, has_aux=has_aux)

    def linearize(self, *primals: Any) -> tuple[Any, Callable[..., Any]]:
        """Return the value and its pushforward: see `adgraph.linearize`."""
        result: tuple[Any, Callable[..., Any]] = AT_POINT["linearize"](self, *primals)
        return result


@functools.cache
def native_function() -> type[Function]:
    """Return the type of functions that have native calls."""
    bases = (natively_called(), Function)
    return type("Function", bases, {"__slots__": (), "__module__": __name__})


class Bound:
    """A traced method of an instance; its derivatives are by the arguments behind the instance.

    The instance is an argument of the program: of a pytree, such as a dataclass, the arrays are
    inputs; any other is static, and its attributes are read when the program is traced.

    >>> class Spring:
    ...     stiffness = 3.0
    ...     @trace
    ...     def energy(self, x):
    ...         return 0.5 * self.stiffness * x**2
    >>> Spring().energy.grad(2.0)
    np.float64(6.0)
    """

    def __init__(self, function: Function, instance: Any) -> None:
        self.function = function
        self._instance = instance

    def __repr__(self) -> str:
        return f"<{self.function!r} of {self._instance!r}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the method."""
        return self.function(self._instance, *args, **kwargs)

    def hvp(self, x: Any, v: Any, *rest: Any, **kwargs: Any) -> Any:
        """Return the product of Hessian and vector: see `adgraph.hvp`."""
        return self._derived("hvp")(x, v, self._instance, *rest, **kwargs)

    @property
    def numba(self) -> Callable[..., Any]:
        """The method of this instance, as it is now, as a function to call inside `@njit`."""
        return self._alone().numba

    def low_level_callable(self, *args: Any, signature: str | None = None) -> Any:
        """Return a C callback of this instance, as it is now: see `adgraph.api.low_level`."""
        return self._alone().low_level_callable(*args, signature=signature)

    def __getattr__(self, name: str) -> Any:
        if name in ("graph", "kernels", "source", "plan", "memory", "explain", "profile"):
            return functools.partial(getattr(self.function, name), self._instance)
        if name in BY_ARGUMENT:
            return Bound(self._derived(name), self._instance)
        if name in AT_POINT:
            return functools.partial(AT_POINT[name], self)
        raise AttributeError(f"a traced method has no attribute {name!r}")

    def _derived(self, name: str) -> Function:
        """Return a derivative by the argument behind the instance."""
        key, derived = f"{name} of method", self.function.derived
        if key not in derived:
            derived[key] = BY_ARGUMENT[name](self.function, 1)
        return derived[key]

    def _alone(self) -> Function:
        """Return the method as a function of which the instance is a constant."""

        @functools.wraps(self.function.function)
        def alone(*args: Any, **kwargs: Any) -> Any:
            return self.function(self._instance, *args, **kwargs)

        options = self.function.options
        static = tuple(n - 1 for n in options.static_argnums if n > 0)
        return Function(alone, replace(options, static_argnums=static))


def trace(
    function: Callable[..., Any] | None = None,
    *,
    static_argnums: Argnums = (),
    static_argnames: str | Sequence[str] = (),
    memory_budget: str | float | None = None,
    backend: Backend = "auto",
    threads: int = 1,
) -> Any:
    """Compile a NumPy function; it is called as before.

    Use it bare or with options. Arguments are pytrees of arrays and numbers; strings, bools and
    what `static_argnums` or `static_argnames` mark are static: part of the program.
    Arrays that the function reads from globals, closures or attributes are constants of the
    program: pass what changes as an argument.
    `memory_budget`, in bytes, as "64MB", or as a share of the peak without it (0.5, "50%"), bounds
    the peak of every program, of derivatives too: what does not fit is computed again when it is
    needed.
    With `threads`, kernels that have much work run on so many threads, of derivatives too.

    >>> @trace(static_argnames="n")
    ... def power_sum(x, n):
    ...     return np.sum(x**n)
    >>> power_sum(np.array([1.0, 2.0]), 3)
    np.float64(9.0)
    """
    if function is None:
        return functools.partial(
            trace,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
            memory_budget=memory_budget,
            backend=backend,
            threads=threads,
        )
    if not callable(function):
        raise TracingError(message(f"trace takes a function, found a {type(function).__name__}"))
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    static = resolve_static(function, positions(static_argnums), names)
    check_backend(backend)
    budget = None if memory_budget is None else parse_budget(memory_budget)
    return Function(function, Options(*static, budget, backend, check_threads(threads)))


def positions(argnums: Argnums) -> tuple[int, ...]:
    """Return `argnums` as a tuple."""
    numbers: Sequence[Any] = argnums if isinstance(argnums, Sequence) else (argnums,)
    for n in numbers:
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool):
            raise TracingError(
                message(
                    f"{n!r} is no position of an argument",
                    "arguments are named by an int, or a tuple of ints",
                )
            )
    return tuple(map(int, numbers))


def as_function(f: Callable[..., Any]) -> Function:
    """Return a function as a traced one."""
    return f if isinstance(f, Function) else Function(f)
