"""The call path: from Python arguments to a compiled program and back.

A `Dispatcher` keeps one compiled program per signature (structure of the arguments, dtypes, shapes,
static values). Begin with `Dispatcher.__call__`.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.errors import TracingError, message
from adgraph.ir.graph import Graph
from adgraph.ir.types import Dtype
from adgraph.lower.program import lower
from adgraph.passes.pipeline import CANONICAL, FINAL, Report, run_pipeline
from adgraph.runtime.compiled import Compiled
from adgraph.schedule.budget import parse_bytes
from adgraph.tracing.trace import Abstract, Static, Trace, abstract, trace_function
from adgraph.tracing.tree import LEAF, Structure, flatten, paths, unflatten


@dataclass(frozen=True)
class Options:
    """What `@trace(...)` was given."""

    static_argnums: tuple[int, ...] = ()
    static_argnames: tuple[str, ...] = ()
    memory_budget: str | int | None = None


@dataclass(frozen=True)
class Signature:
    """The arguments of one call, taken apart."""

    structure: Structure
    leaves: tuple[Abstract | Static, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A program compiled for one signature, and how its results become Python objects."""

    signature: Signature
    trace: Trace
    graph: Graph
    report: Report
    compiled: Compiled
    inputs: tuple[tuple[int, Dtype], ...]  # position among the leaves, native dtype

    def run(self, leaves: Sequence[Any]) -> Any:
        """Call the program on the leaves of the arguments."""
        arrays = [_array(leaves[i], dtype) for i, dtype in self.inputs]
        outputs = self.compiled(arrays)
        trace = self.trace
        if trace.written:
            self._write_back(leaves, outputs[len(trace.weak) :])
        results = [
            x if x.shape else (x.item() if weak else x[()])
            for x, weak in zip(outputs, trace.weak, strict=False)
        ]
        if trace.result is LEAF:
            return results[0]
        return unflatten(trace.result, trace.with_static(results))

    def _write_back(self, leaves: Sequence[Any], values: Sequence[Any]) -> None:
        """Give the caller's arrays their final values."""
        targets = [leaves[self.inputs[i][0]] for i in self.trace.written]
        for target in targets:
            if not isinstance(target, np.ndarray) or not target.flags.writeable:
                kind = "read-only" if isinstance(target, np.ndarray) else type(target).__name__
                raise TracingError(
                    message(
                        f"the traced function writes into an argument that is {kind}",
                        "in-place updates of an argument are made in the caller's array",
                        "pass a writable array, or copy the argument first: x = np.array(x)",
                    )
                )
        for target, value in zip(targets, values, strict=True):
            np.copyto(target, value)


def _array(x: Any, dtype: Dtype) -> np.ndarray[Any, Any]:
    if type(x) is np.ndarray and x.flags.c_contiguous and x.dtype == dtype and x.flags.aligned:
        return x
    return np.require(x, dtype, ["C", "A"])


class Dispatcher:
    """The programs of one function."""

    def __init__(self, function: Callable[..., Any], options: Options) -> None:
        self.function = function
        self.options = options
        self._entries: dict[Any, Entry] = {}
        self._lock = threading.RLock()
        self._static = bool(options.static_argnums or options.static_argnames)
        self.parameters = _parameters(function)

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._static or kwargs:
            leaves, structure = flatten(self.mark_static(args, kwargs))
        else:
            leaves, structure = _flat(args)
        key = (structure, *map(_fast_key, leaves))
        entry = self._entries.get(key)
        if entry is None:
            entry = self._compile(key, args, kwargs)
        return entry.run(leaves)

    def entry(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        """Return the program for these arguments, compiled if it is not yet."""
        if self._static or kwargs:
            leaves, structure = flatten(self.mark_static(args, kwargs))
        else:
            leaves, structure = _flat(args)
        key = (structure, *map(_fast_key, leaves))
        return self._entries.get(key) or self._compile(key, args, kwargs)

    def mark_static(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Wrap the static arguments."""
        if not self._static:
            return args, kwargs
        numbers = {n % len(args) if n < 0 else n for n in self.options.static_argnums}
        names = self.options.static_argnames
        numbers |= {self.parameters.index(n) for n in names if n in self.parameters}
        marked = tuple(Static.of(a) if i in numbers else a for i, a in enumerate(args))
        return marked, {k: Static.of(v) if k in names else v for k, v in kwargs.items()}

    def signature(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Signature:
        """Describe the arguments."""
        leaves, structure = flatten(self.mark_static(args, kwargs))
        names = argument_names(self.parameters, structure)
        described = tuple(abstract(x, n) for x, n in zip(leaves, names, strict=True))
        return Signature(structure, described, names)

    def _compile(self, key: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        with self._lock:
            if key not in self._entries:
                signature = self.signature(args, kwargs)
                self._entries[key] = compile_entry(self.function, signature, self.options)
            return self._entries[key]


def compile_entry(
    function: Callable[..., Any], signature: Signature, options: Options
) -> Entry:
    """Trace, transform and lower a function for one signature."""
    trace = trace_function(
        function, signature.structure, signature.leaves, _input_names(signature)
    )
    graph, report = run_pipeline(trace.graph, (*CANONICAL, *FINAL))
    budget = None if options.memory_budget is None else parse_bytes(options.memory_budget)
    compiled = Compiled(lower(graph, budget))
    inputs = tuple(
        (i, leaf.type.dtype.newbyteorder("="))
        for i, leaf in enumerate(signature.leaves)
        if isinstance(leaf, Abstract)
    )
    return Entry(signature, trace, graph, report, compiled, inputs)


def _flat(args: tuple[Any, ...]) -> tuple[Sequence[Any], Any]:
    """Flatten positional arguments; arrays and numbers alone need no walk."""
    for x in args:
        if type(x) not in _PLAIN:
            return flatten((args, {}))
    return args, len(args)


_PLAIN = frozenset({np.ndarray, float, int, complex, np.float64, np.float32})


def _fast_key(x: Any) -> Any:
    kind = type(x)
    if kind is np.ndarray:
        return x.dtype, x.shape
    if kind in _PLAIN:
        return kind
    if isinstance(x, (np.ndarray, np.generic)):
        return x.dtype, x.shape
    return abstract(x)


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return ()
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in parameters if p.kind in kinds)


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
            found.append(plain if all(p.isidentifier() or p.isdigit() for p in plain.split(".")) else None)
    return tuple(found)
