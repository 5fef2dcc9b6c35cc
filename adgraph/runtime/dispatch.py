"""The call path: from Python arguments to a compiled program and back.

A `Dispatcher` keeps one compiled program per signature (structure of the arguments, dtypes, shapes,
static values). Begin with `Dispatcher.__call__`.
"""

from __future__ import annotations

import functools
import gc
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from adgraph.analysis.programs import nested
from adgraph.errors import AdgraphError, CapacityError, DtypeError, TracingError, message
from adgraph.ir.graph import Graph
from adgraph.ir.types import Dtype
from adgraph.lower.backend import Backend
from adgraph.lower.program import lower
from adgraph.ops.control import mark as mark_of
from adgraph.passes.memory_order import with_turned
from adgraph.passes.pipeline import COMPILED, SETTLED, Report, run_pipeline
from adgraph.runtime.calls import OTHERWISE, NativeCall
from adgraph.runtime.compiled import Compiled
from adgraph.runtime.direct import direct_call
from adgraph.runtime.fitting import fitted
from adgraph.schedule.budget import Budget
from adgraph.tracing.trace import Abstract, Static, Trace, abstract, static, trace_function
from adgraph.tracing.tree import (
    Matcher,
    Structure,
    flatten,
    matcher,
    paths,
    unflatten,
)
from adgraph.transforms.regions import capacities, with_capacities


@dataclass(frozen=True)
class Options:
    """What `@trace(...)` was given; a static parameter has both its number and its name here."""

    static_argnums: tuple[int, ...] = ()
    static_argnames: tuple[str, ...] = ()
    memory_budget: Budget | None = None
    backend: Backend = "auto"
    threads: int = 1


@dataclass(frozen=True)
class Signature:
    """The arguments of one call, taken apart."""

    structure: Structure
    leaves: tuple[Abstract | Static, ...]
    names: tuple[str, ...]

    def turned(self, number: int) -> bool:
        """Tell whether an argument is in Fortran order."""
        leaf = self.leaves[number]
        return isinstance(leaf, Abstract) and leaf.turned


@dataclass(frozen=True)
class Entry:
    """A program compiled for one signature, and how its results become Python objects."""

    signature: Signature
    trace: Trace
    graph: Graph
    report: Report
    compiled: Compiled
    inputs: tuple[tuple[int, Dtype], ...]  # position among the leaves
    capacities: Mapping[int, int]  # of tapes of loops that have outgrown theirs, by mark
    budget: int | None  # in bytes

    @functools.cached_property
    def direct(self) -> NativeCall | None:
        """A way to call the program that is faster than `run`, if there is one."""
        if self.compiled.guarded:
            return None
        signature = self.signature
        return direct_call(signature.structure, signature.leaves, self.trace, self.compiled)

    def run(self, leaves: Sequence[Any]) -> Any:
        """Call the program on leaves of its signature, which the direct call has not taken."""
        trace = self.trace
        if trace.order_matters:
            self._check_order(leaves)
        if trace.separate:
            self._check_separate(leaves)
        arrays = self.arrays(leaves)
        targets = self._targets(leaves) if trace.written else ()
        outputs = self.compiled(arrays)
        for target, value in zip(targets, outputs[len(trace.weak) :], strict=False):
            np.copyto(target, value)
        results = [
            x if x.shape else (x.item() if weak else x[()])
            for x, weak in zip(outputs, trace.weak, strict=False)
        ]
        return unflatten(trace.result, trace.with_static(results))

    def arrays(self, leaves: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
        """Return what the program takes: arrays in C order, transposed ones of Fortran order."""
        try:
            return [
                _array(leaves[i].T if self.signature.turned(i) else leaves[i], dtype)
                for i, dtype in self.inputs
            ]
        except OverflowError as error:
            names = [self.signature.names[i] for i, _ in self.inputs if _is_too_large(leaves[i])]
            raise _too_large(names[0]) from error

    def _check_order(self, leaves: Sequence[Any]) -> None:
        """Refuse arguments that NumPy would have copied where the program writes a view."""
        for x, name in zip(leaves, self.signature.names, strict=True):
            if isinstance(x, np.ndarray) and x.ndim > 1 and not x.flags.c_contiguous:
                raise _out_of_order(name)

    def _check_separate(self, leaves: Sequence[Any]) -> None:
        """Refuse arguments that share memory with one that the function writes."""
        for pair in self.trace.separate:
            target, other = (self.inputs[i][0] for i in pair)
            arrays = leaves[target], leaves[other]
            if all(isinstance(x, np.ndarray) for x in arrays) and _overlap(*arrays):
                names = self.signature.names
                raise TracingError(
                    message(
                        f"the traced function writes into {names[target]}, which shares memory "
                        f"with {names[other]}",
                        "a program takes its arguments as arrays of their own",
                        "pass a copy of one of them",
                    )
                )

    def _targets(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        """Return the caller's arrays that the function writes into."""
        written = [self.inputs[i][0] for i in self.trace.written]
        for at in written:
            target, name = leaves[at], self.signature.names[at]
            if not isinstance(target, np.ndarray) or not target.flags.writeable:
                kind = "read-only" if isinstance(target, np.ndarray) else type(target).__name__
                raise TracingError(
                    message(
                        f"the traced function writes into {name}, which is {kind}",
                        "in-place updates of an argument are made in the caller's array",
                        "pass a writable array, or copy the argument first: x = np.array(x)",
                    )
                )
        return tuple(leaves[at] for at in written)


def _refuse_turned(signature: Signature) -> None:
    """Refuse arguments in Fortran order where the program is that of others only."""
    for i, name in enumerate(signature.names):
        if signature.turned(i):
            raise _out_of_order(name)


def _out_of_order(name: str) -> TracingError:
    return TracingError(
        message(
            f"the traced function writes into a reshape, and {name} is not in C order",
            "whether NumPy's reshape is a view or a copy depends on the memory order",
            "pass a C-contiguous array: np.ascontiguousarray(x)",
        )
    )


def _is_too_large(x: Any) -> bool:
    return isinstance(x, int) and not -(2**63) <= x < 2**63


def _too_large(name: str) -> DtypeError:
    return DtypeError(
        message(
            f"{name} is an int of more than 64 bits",
            "traced functions compute with integers of 64 bits",
            "pass a float, or mark it with static_argnames to compute with it while tracing",
        )
    )


def _overlap(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    try:
        return np.shares_memory(a, b, max_work=10_000)  # type: ignore[arg-type]  # any int works
    except np.exceptions.TooHardError:
        return True


def _array(x: Any, dtype: Dtype) -> np.ndarray[Any, Any]:
    if type(x) is np.ndarray and x.flags.c_contiguous and x.dtype == dtype and x.flags.aligned:
        return x
    return np.require(x, dtype, ["C", "A"])


MOST_RECENT = 8


@dataclass(frozen=True)
class Family:
    """The programs for arguments of one structure, by the keys of their leaves."""

    match: Matcher
    entries: dict[tuple[Any, ...], Entry] = field(default_factory=dict)


class Dispatcher:
    """The programs of one function."""

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        self.function = function
        self.options = options
        self.parameters = _parameters(function)
        self._families: dict[Structure, Family] = {}
        self._recent: tuple[Family, ...] = ()  # replaced as a whole: calls read it without a lock
        self.direct: tuple[NativeCall, ...] = ()  # of the latest programs; replaced as a whole
        self._lock = threading.RLock()
        self._static = bool(options.static_argnums or options.static_argnames)

    @property
    def entries(self) -> list[Entry]:
        """The programs compiled so far."""
        return [e for family in self._families.values() for e in family.entries.values()]

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the program for these arguments, which none of `direct` has taken.

        The first call of a program goes by way of Python; what is called again gets a native way.
        """
        entry, leaves = self._look_up(args, kwargs)
        if entry is None:
            return self._run(self.entry(args, kwargs), leaves, args, kwargs)
        direct = entry.direct
        if direct is not None and self._prefer(direct):
            result = direct(args, kwargs)
            if result is not OTHERWISE:
                return result
        return self._run(entry, leaves, args, kwargs)

    def _look_up(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Entry | None, Sequence[Any]]:
        """Return the program for these arguments if there is one, and their leaves."""
        for family in self._recent:
            leaves = family.match((args, kwargs))
            if leaves is not None:
                entry = family.entries.get(tuple(map(_fast_key, leaves)))
                if entry is not None:
                    return entry, leaves
        leaves, structure = flatten(self.mark_static(args, kwargs))
        return self._find(structure, leaves), leaves

    def _prefer(self, call: NativeCall) -> bool:
        """Put a direct call before the others; tell whether it was not among them."""
        with self._lock:
            new = call not in self.direct
            self.direct = (call, *(c for c in self.direct if c is not call))[:MOST_RECENT]
        return new

    def _run(
        self, entry: Entry, leaves: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Run a program; if a loop outgrows its tape, compile one with room for more trips."""
        while True:
            try:
                return entry.run(leaves)
            except CapacityError as error:
                mark = error.mark
            entry = self.enlarged(entry, mark, args, kwargs)

    def enlarged(
        self, entry: Entry, mark: int, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Entry:
        """Return the program for these arguments whose loops of a mark may make twice the trips."""
        leaves, structure = flatten(self.mark_static(args, kwargs))
        key = tuple(map(_fast_key, leaves))
        with self._lock:
            entries = self._family(structure).entries
            if entries[key] is entry:  # else another thread has done it
                self.direct = ()
                entry.compiled.retire()
                most = 2 * _capacity(entry.trace.graph, mark)
                with with_capacities({**entry.capacities, mark: most}):
                    signature = entry.signature
                    entries[key] = compile_entry(self.function, signature, self.options)
            return entries[key]

    def _find(self, structure: Structure, leaves: Sequence[Any]) -> Entry | None:
        family = self._families.get(structure)
        try:
            return family.entries.get(tuple(map(_fast_key, leaves))) if family else None
        except AdgraphError:  # an argument is refused; `entry` knows its name
            return None

    def entry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        """Return the program for these arguments, compiled if it is not yet."""
        signature = self.signature(args, kwargs)
        leaves, structure = flatten(self.mark_static(args, kwargs))
        key = tuple(map(_fast_key, leaves))
        with self._lock:
            entries = self._family(structure).entries
            if key not in entries:
                entries[key] = compile_entry(self.function, signature, self.options)
            return entries[key]

    def _family(self, structure: Structure) -> Family:
        """Return the family of a structure; the latest few are tried first in calls."""
        if structure not in self._families:
            family = Family(matcher(structure, _PLAIN))
            self._families[structure] = family
            if not self._static:
                self._recent = (family, *self._recent)[:MOST_RECENT]
        return self._families[structure]

    def mark_static(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Wrap the static arguments, and sort those given by name."""
        if kwargs:
            kwargs = dict(sorted(kwargs.items()))
        if not self._static:
            return args, kwargs
        numbers, names = self.options.static_argnums, self.options.static_argnames
        marked = tuple(
            static(a, self._argument(i)) if i in numbers else a for i, a in enumerate(args)
        )
        return marked, {k: static(v, k) if k in names else v for k, v in kwargs.items()}

    def _argument(self, number: int) -> str:
        return self.parameters[number] if number < len(self.parameters) else f"argument {number}"

    def signature(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Signature:
        """Describe the arguments."""
        leaves, structure = flatten(self.mark_static(args, kwargs))
        names = argument_names(self.parameters, structure)
        described = tuple(abstract(x, n) for x, n in zip(leaves, names, strict=True))
        return Signature(structure, described, names)


def _capacity(graph: Graph, mark: int) -> int:
    """Return for how many trips the tapes of the loops of a mark have room."""
    loops = (node for node in nested(graph) if node.attrs.get("capacity") is not None)
    most: int = max(n.attrs["capacity"] for n in loops if mark_of(n.origin.location) == mark)
    return most


def compile_entry(function: Callable[..., Any], signature: Signature, options: Options) -> Entry:
    """Trace, transform and lower a function for one signature."""
    names = _input_names(signature)
    with collector_paused():
        trace = trace_function(function, signature.structure, signature.leaves, names)
        if trace.order_matters:
            _refuse_turned(signature)
        arrays = [leaf for leaf in signature.leaves if isinstance(leaf, Abstract)]
        turned = [i for i, leaf in enumerate(arrays) if leaf.turned]
        trace = replace(trace, graph=with_turned(trace.graph, turned))
        graph, report, budget = _passed(trace.graph, options)
        program = lower(graph, budget, options.backend, options.threads)
        compiled = Compiled(program)
    inputs = tuple(
        (i, leaf.type.dtype)
        for i, leaf in enumerate(signature.leaves)
        if isinstance(leaf, Abstract)
    )
    return Entry(signature, trace, graph, report, compiled, inputs, capacities(), budget)


def _passed(graph: Graph, options: Options) -> tuple[Graph, Report, int | None]:
    """Run the passes; for a memory budget, with snapshots in loops that record too much.

    Return the budget in bytes, too.
    """
    if options.memory_budget is None:
        return *run_pipeline(graph, COMPILED), None
    settled, report = run_pipeline(graph, SETTLED)
    last, more, budget = fitted(settled, options.memory_budget, options.threads)
    return last, Report(report.graph, (*report.records, *more.records)), budget


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the garbage collector away: from a growing program it would walk, from what is timed."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


# Leaves of these types are told apart without a look at what they are.
_PLAIN = frozenset({np.ndarray, float, int, complex, np.float64, np.float32})


def _fast_key(x: Any) -> Any:
    kind = type(x)
    if kind is np.ndarray:
        return x.dtype, x.shape, x.flags.fnc
    if kind in _PLAIN:
        return kind
    if isinstance(x, np.generic):
        return kind
    return abstract(x)


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _signature(function: Callable[..., Any]) -> tuple[inspect.Parameter, ...]:
    try:
        return tuple(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return ()


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(p.name for p in _signature(function) if p.kind in _POSITIONAL)


def resolve_static(
    function: Callable[..., Any], argnums: Sequence[int], argnames: Sequence[str]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the numbers and names of the static parameters; each parameter has both."""
    parameters = _parameters(function)
    kinds = {p.name: p.kind for p in _signature(function)}
    more = inspect.Parameter.VAR_POSITIONAL in kinds.values() or not kinds
    anything = inspect.Parameter.VAR_KEYWORD in kinds.values() or not kinds
    for n in argnums:
        if not -len(parameters) <= n < len(parameters) and not (more and n >= 0):
            raise _no_parameter(function, f"static_argnums={n}", parameters)
    for name in argnames:
        if name not in kinds and not anything:
            raise _no_parameter(function, f"static_argnames={name!r}", tuple(kinds))
    numbers = {n + len(parameters) if n < 0 else n for n in argnums}
    numbers |= {parameters.index(name) for name in argnames if name in parameters}
    names = {*argnames, *(parameters[n] for n in numbers if n < len(parameters))}
    return tuple(sorted(numbers)), tuple(sorted(names))


def _no_parameter(
    function: Callable[..., Any], given: str, parameters: tuple[str, ...]
) -> TracingError:
    name = getattr(function, "__name__", "the function")
    return TracingError(
        message(
            f"{given} names no parameter of {name}, which has ({', '.join(parameters)})",
            "a static argument is found by its position or its name",
        )
    )


def argument_names(parameters: tuple[str, ...], structure: Structure) -> tuple[str, ...]:
    """Name the leaves of `(args, kwargs)` as a user would: `params['w']`, `x`."""
    names = []
    for path in paths(structure):
        head, _, rest = path[1:].partition("][")
        number, _, tail = rest.partition("]")
        if head == "0":
            at = int(number)
            base = parameters[at] if at < len(parameters) else f"argument {at}"
        else:
            base = number.strip("'")
        names.append(base + tail)
    return tuple(names)


def _input_names(signature: Signature) -> tuple[str | None, ...]:
    """Names for the inputs of the graph: identifiers only."""
    found = []
    for leaf, name in zip(signature.leaves, signature.names, strict=True):
        if isinstance(leaf, Abstract):
            plain = name.replace("['", ".").replace("']", "").replace("[", ".").replace("]", "")
            found.append(
                plain if all(p.isidentifier() or p.isdigit() for p in plain.split(".")) else None
            )
    return tuple(found)
