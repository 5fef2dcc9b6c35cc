"""`f.numba`: a traced function as one that Numba's compiled code can call.

`numba_function` returns a Python function that Numba's typing resolves through `overload`. The code
generated for a call looks up the program by the extents of its arguments and runs it without
Python; only a shape seen for the first time, and an error, go back to Python. Importing this module
imports Numba.
"""

# Numba carries no types:
# mypy: allow-untyped-calls, allow-untyped-decorators, disable-error-code="attr-defined"

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import objmode
from numba.core import cgutils, errors, types
from numba.extending import intrinsic, overload, register_jitable
from numba.np import numpy_support

from adgraph.api.function import Function
from adgraph.errors import AdgraphError, CapacityError, DtypeError, message
from adgraph.ir.types import Dtype
from adgraph.lower.thunk import Table, Thunk, call_address, find_address, thunk_of
from adgraph.runtime.dispatch import Entry
from adgraph.tracing.trace import Abstract
from adgraph.tracing.tree import Branch, Leaf, Structure, flatten, unflatten

WORD = ir.IntType(64)
BYTES = ir.IntType(8).as_pointer()


def numba_function(function: Function) -> Callable[..., Any]:
    """Return a function that does what `function` does, in Python and inside `@njit`."""

    @functools.wraps(function.function)
    def call(*args: Any) -> Any:
        return function(*args)

    @overload(call, prefer_literal=False)
    def in_numba(*args: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], types.StarArgTuple | types.StarArgUniTuple):
            args = tuple(args[0])
        return _implementation(function, args)

    return call


# --- what is known when Numba types a call --------------------------------------------------------


@dataclass(frozen=True)
class Leaves:
    """The leaves of the arguments: an expression, a type and an example of each."""

    texts: tuple[str, ...]
    types: tuple[Any, ...]
    examples: tuple[Any, ...]  # arguments, not leaves


def _described(args: tuple[Any, ...]) -> Leaves:
    found: list[tuple[str, Any]] = []
    examples = tuple(_example(kind, f"args[{i}]", found) for i, kind in enumerate(args))
    return Leaves(tuple(t for t, _ in found), tuple(kind for _, kind in found), examples)


def _example(kind: Any, text: str, found: list[tuple[str, Any]]) -> Any:
    """Return an argument of a Numba type whose extents are 0; add its leaves to `found`."""
    kind = types.unliteral(kind)
    if isinstance(kind, types.BaseTuple):
        items = [_example(k, f"{text}[{i}]", found) for i, k in enumerate(kind)]
        return kind.instance_class(*items) if hasattr(kind, "instance_class") else tuple(items)
    found.append((text, kind))
    if isinstance(kind, types.Array):
        return np.empty((0,) * kind.ndim, numpy_support.as_dtype(kind.dtype))
    if isinstance(kind, types.Float):
        return 1.0 if kind.bitwidth == 64 else np.float32(1.0)
    if isinstance(kind, types.Integer):
        return 1
    raise errors.TypingError(
        message(
            f"argument {text.removeprefix('args')} has the Numba type {kind}",
            "inside Numba a traced function takes arrays, numbers, and tuples of them",
        )
    )


def _entry_for(function: Function, leaves: Leaves) -> Entry:
    """Return a program for arguments of these types; of arrays, one of any shape."""
    name = function.function.__name__
    wanted, structure = flatten((leaves.examples, {}))
    for entry in function.dispatch.entries:
        if entry.signature.structure == structure and _same_types(entry, wanted):
            return entry
    if not any(isinstance(x, np.ndarray) for x in wanted):
        return function.dispatch.entry(leaves.examples, {})
    arrays = ", ".join(str(kind) for kind in leaves.types)
    raise errors.TypingError(
        message(
            f"no program of {name} is known for arguments of the Numba types {arrays}",
            "Numba has to know what a call returns before it runs, which is known from an example",
            f"call {name}.numba once in Python with such arguments; other shapes may follow inside",
        )
    )


def _same_types(entry: Entry, wanted: list[Any]) -> bool:
    """Whether a program takes arguments of the same types, leaving extents aside."""
    pairs = zip(entry.signature.leaves, wanted, strict=True)
    return all(
        isinstance(leaf, Abstract)
        and not leaf.turned
        and leaf.type.ndim == np.ndim(x)
        and leaf.type.dtype == np.asarray(x).dtype
        and (leaf.weak is not None) == (type(x) in (int, float))
        for leaf, x in pairs
    )


# --- the code of a call ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Site:
    """The programs behind calls with arguments of some types; kept for the life of the process."""

    function: Function
    table: Table
    results: tuple[tuple[Dtype, int], ...]  # dtype and number of axes

    def add(self, args: tuple[Any, ...]) -> int:
        """Compile the program for arguments; return the address of its thunk."""
        return self._enter(args, self.function.dispatch.entry(args, {}))

    def _enter(self, args: tuple[Any, ...], entry: Entry) -> int:
        results = tuple((t.dtype, t.ndim) for t in entry.compiled.program.results)
        if results != self.results:
            raise DtypeError(
                message(
                    f"{entry.trace.graph.name} gives results {_listed(results)} for these shapes, "
                    f"and {_listed(self.results)} for those Numba compiled it with",
                    "a function has one type of result inside Numba",
                )
            )
        if self.table.full:
            raise AdgraphError(
                message(
                    f"{entry.trace.graph.name} was called with too many shapes inside Numba",
                    "a program is compiled for each",
                    "pad the arguments to fewer shapes",
                )
            )
        thunk = thunk_of(entry.compiled.program)
        self.table.enter(_extents(args), thunk)
        return thunk.address

    def recover(self, args: tuple[Any, ...], status: int) -> int:
        """Compile a program with longer tapes if that helps, or raise what stopped this one."""
        entry = self.function.dispatch.entry(args, {})
        error = entry.compiled.error(status)
        if not isinstance(error, CapacityError):
            raise error
        return self._enter(args, self.function.dispatch.enlarged(entry, error.mark, args, {}))


def _listed(results: tuple[tuple[Dtype, int], ...]) -> str:
    return ", ".join(f"{dtype} with {ndim} axes" for dtype, ndim in results)


def _extents(args: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(n for x in flatten(args)[0] for n in np.shape(x))


_SITES: list[Site] = []


def _implementation(function: Function, args: tuple[Any, ...]) -> Callable[..., Any]:
    leaves = _described(args)
    entry = _entry_for(function, leaves)
    _refuse_effects(entry)
    program = entry.compiled.program
    results = tuple((t.dtype, t.ndim) for t in program.results)
    site = Site(function, Table(sum(_ndim(kind) for kind in leaves.types)), results)
    _SITES.append(site)
    scope = {
        "np": np,
        "site": len(_SITES) - 1,
        "add": _add,
        "recover": _recover,
        "find": _find(site.table.address),
        "word": _word,
        "run": _run(tuple(dtype for _, dtype in entry.inputs), results),
        **{f"dtype{k}": numpy_support.from_dtype(dtype) for k, (dtype, _) in enumerate(results)},
    }
    exec(_text(entry, leaves, thunk_of(program)), scope)
    implementation: Callable[..., Any] = scope["implementation"]
    return implementation


def _refuse_effects(entry: Entry) -> None:
    if entry.trace.written or entry.trace.order_matters:
        raise errors.TypingError(
            message(
                f"{entry.trace.graph.name} writes into its arguments",
                "inside Numba a traced function only returns results",
                "return the new array",
            )
        )


def _ndim(kind: Any) -> int:
    return kind.ndim if isinstance(kind, types.Array) else 0


def _python_add(site: int, args: tuple[Any, ...]) -> int:
    return _SITES[site].add(_in_c_order(args))


def _python_recover(site: int, args: tuple[Any, ...], status: int) -> int:
    return _SITES[site].recover(_in_c_order(args), status)


def _in_c_order(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments with arrays as the code of a call hands them to a program."""
    leaves, structure = flatten(args)
    ordered = [np.ascontiguousarray(x) if np.ndim(x) else x for x in leaves]
    result: tuple[Any, ...] = unflatten(structure, ordered)
    return result


@register_jitable
def _add(site: int, args: Any) -> Any:
    with objmode(thunk="int64"):
        thunk = _python_add(site, args)
    return thunk  # noqa: RET504  # Numba: no return inside the block


@register_jitable
def _recover(site: int, args: Any, status: int) -> Any:
    with objmode(thunk="int64"):
        thunk = _python_recover(site, args, status)
    return thunk  # noqa: RET504  # Numba: no return inside the block


def _text(entry: Entry, leaves: Leaves, thunk: Thunk) -> str:
    """Write the implementation of a call; `args` is the tuple of its arguments."""
    names = [f"x{i}" for i in range(len(leaves.texts))]
    extents = [
        f"{n}.shape[{k}]" for n, t in zip(names, leaves.types, strict=True) for k in range(_ndim(t))
    ]
    inputs = [names[i] for i, _ in entry.inputs]
    lines = ["def implementation(*args: Any):"]  # Numba compares the annotations too
    for name, text, kind in zip(names, leaves.texts, leaves.types, strict=True):
        whole = isinstance(kind, types.Array) and kind.layout != "C"
        lines.append(
            f"    {name} = np.ascontiguousarray({text})" if whole else f"    {name} = {text}"
        )
    lines += [
        f"    thunk = find({_tuple(extents)})",
        "    if thunk == 0:",
        "        thunk = add(site, args)",
        "    while True:",
    ]
    outputs = []
    for k, (result, at) in enumerate(
        zip(entry.compiled.program.results, thunk.extents_at, strict=True)
    ):
        if result.shape:
            shape = _tuple([f"word(thunk, {at + axis})" for axis in range(result.ndim)])
            lines.append(f"        y{k} = np.empty({shape}, dtype{k})")
            outputs.append(f"y{k}")
    lines += [
        f"        answer = run(thunk, {_tuple(inputs)}, {_tuple(outputs)})",
        "        status = answer[0]",
        "        if status == 0:",
        "            break",
        "        thunk = recover(site, args, status)",
    ]
    scalars = iter(range(1, len(entry.compiled.program.results) + 1))
    places = [
        f"y{k}" if result.shape else f"answer[{next(scalars)}]"
        for k, result in enumerate(entry.compiled.program.results)
    ]
    lines.append(f"    return {_result(entry, entry.trace.result, iter(places))}")
    return "\n".join(lines)


def _tuple(items: list[str]) -> str:
    return f"({', '.join(items)},)" if items else "()"


def _result(entry: Entry, structure: Structure, places: Iterator[str]) -> str:
    match structure:
        case Leaf() if not entry.trace.static:
            return next(places)
        case Branch(type, _, children) if type is tuple and not entry.trace.static:
            return _tuple([_result(entry, child, places) for child in children])
    raise errors.TypingError(
        message(
            f"{entry.trace.graph.name} returns more than arrays, numbers and tuples of them",
            "Numba has no type for it",
            "return a tuple",
        )
    )


# --- intrinsics -----------------------------------------------------------------------------------


def _function(builder: Any, address: Any, result: Any, parameters: list[Any]) -> Any:
    return builder.bitcast(address, ir.FunctionType(result, parameters).as_pointer())


def _outside(context: Any, builder: Any, address: int, name: str) -> Any:
    """Return an address of this process; Numba will not keep code with one in its file cache."""
    return context.add_dynamic_addr(builder, address, info=name)


def _find(table: int) -> Any:
    @intrinsic
    def find(typing_context: Any, extents: Any) -> Any:
        count = len(extents)

        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            key = cgutils.alloca_once(builder, WORD, size=max(count, 1))
            for i in range(count):
                extent = builder.extract_value(args[0], i)
                kind = sig.args[0].types[i]
                word = context.cast(builder, extent, kind, types.int64)
                builder.store(word, builder.gep(key, [WORD(i)]))
            target = _function(
                builder,
                _outside(context, builder, find_address(), "adgraph find"),
                WORD,
                [BYTES, BYTES, WORD],
            )
            rows = _outside(context, builder, table, "adgraph table")
            return builder.call(target, [rows, builder.bitcast(key, BYTES), WORD(count)])

        return types.int64(extents), emit

    return find


@intrinsic
def _word(typing_context: Any, thunk: Any, index: Any) -> Any:
    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        words = builder.inttoptr(args[0], WORD.as_pointer())
        return builder.load(builder.gep(words, [args[1]]))

    return types.int64(types.int64, types.int64), emit


def _run(inputs: tuple[Dtype, ...], results: tuple[tuple[Dtype, int], ...]) -> Any:
    """Make the intrinsic (thunk, inputs, array outputs) -> (status, scalar outputs...)."""
    wanted = [numpy_support.from_dtype(dtype) for dtype in inputs]
    scalars = [numpy_support.from_dtype(dtype) for dtype, ndim in results if ndim == 0]
    answer = types.Tuple([types.int64, *scalars])

    @intrinsic
    def run(typing_context: Any, thunk: Any, given: Any, arrays: Any) -> Any:
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            _, given_type, arrays_type = sig.args
            pointers = []
            for i, (kind, dtype) in enumerate(zip(given_type, wanted, strict=True)):
                value = builder.extract_value(args[1], i)
                pointers.append(_data(context, builder, value, kind, dtype))
            data = iter(
                _data(context, builder, builder.extract_value(args[2], i), kind, None)
                for i, kind in enumerate(arrays_type)
            )
            slots = iter([_slot(context, builder, kind) for kind in scalars])
            kept, outputs = [], []
            for _, ndim in results:
                outputs.append(next(data) if ndim else next(slots))
                if not ndim:
                    kept.append(outputs[-1])
            target = _function(
                builder,
                _outside(context, builder, call_address(), "adgraph call"),
                WORD,
                [WORD, BYTES, BYTES],
            )
            tables = [_table(builder, pointers), _table(builder, outputs)]
            status = builder.call(target, [args[0], *tables])
            values = [_value(context, builder, s, k) for s, k in zip(kept, scalars, strict=True)]
            return context.make_tuple(builder, answer, [status, *values])

        return answer(types.int64, given, arrays), emit

    return run


def _data(context: Any, builder: Any, value: Any, kind: Any, dtype: Any) -> Any:
    """Return a pointer to the elements of an array, or to a number of the wanted dtype."""
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder, value)
        return builder.bitcast(array.data, BYTES)
    slot = _slot(context, builder, dtype)
    cast = context.cast(builder, value, kind, dtype)
    data = context.data_model_manager[dtype].as_data(builder, cast)
    builder.store(data, builder.bitcast(slot, data.type.as_pointer()))
    return slot


def _slot(context: Any, builder: Any, kind: Any) -> Any:
    """Make room for a number on the stack."""
    return builder.bitcast(cgutils.alloca_once(builder, context.get_data_type(kind)), BYTES)


def _value(context: Any, builder: Any, slot: Any, kind: Any) -> Any:
    pointer = builder.bitcast(slot, context.get_data_type(kind).as_pointer())
    return context.data_model_manager[kind].load_from_data_pointer(builder, pointer)


def _table(builder: Any, pointers: list[Any]) -> Any:
    table = cgutils.alloca_once(builder, BYTES, size=max(len(pointers), 1))
    for i, pointer in enumerate(pointers):
        builder.store(pointer, builder.gep(table, [WORD(i)]))
    return builder.bitcast(table, BYTES)
