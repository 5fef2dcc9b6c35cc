"""Print loop nests as readable Python, to be compiled by Numba.

The text is what `f.source()` shows. Scalar functions in it are those of `adgraph.lower.vmath`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from adgraph.ir.types import Dtype, dtype_code
from adgraph.lower.kernel import KernelSource
from adgraph.lower.nest import (
    ONCE,
    Access,
    Branch,
    Invoke,
    Let,
    Load,
    Loop,
    Nest,
    Range,
    Remark,
    Set,
    Start,
    Statement,
    Stop,
    Store,
    While,
    join_terms,
)
from adgraph.lower.silence import silencer

BLOCK = 1024
_NAME = re.compile(r"\W")


def numba_source(nest: Nest, callees: tuple[str, ...] = ()) -> KernelSource:
    """Print a nest as the source of one kernel; addresses it calls are its last integers."""
    name = _NAME.sub("_", nest.name)
    parameters = [*(p.name for p in nest.pointers), *nest.sizes, *callees]
    comment = ", ".join(f"{p.name}: {dtype_code(p.dtype)}" for p in nest.pointers)
    lines = [f"def {name}({', '.join(parameters)}):  # {comment}"]
    lines += [f"    {line}" for statement in nest.body for line in _lines(statement)]
    dtypes = tuple(p.dtype.str[1:] for p in nest.pointers)
    return KernelSource(name, dtypes, len(nest.sizes) + len(callees), "\n".join(lines) + "\n")


def _lines(statement: Statement) -> Iterator[str]:
    match statement:
        case Load():
            yield f"{statement.name} = {_element(statement.access)}"
        case Store():
            yield _store(statement)
        case Start():
            yield f"{statement.name} = {literal(statement.value, statement.dtype)}"
        case Let():
            yield f"{statement.name} = {_expression(statement)}"
        case Loop():
            silent = silencer(statement)
            lines = _loop_lines(statement)
            if silent is not None:
                yield f"if {silent} != 0:"
                lines = (f"    {line}" for line in lines)
            yield from lines
        case Set(name, text):
            yield f"{name} = {text}"
        case Stop(condition, status):
            yield f"if {condition}:"
            yield f"    return {status}"
        case Remark(text):
            yield f"# {text}"
        case Range() | While() | Branch():
            yield from _control_lines(statement)
        case Invoke():
            yield from _invoke_lines(statement)


def _control_lines(statement: Range | While | Branch) -> Iterator[str]:
    match statement:
        case Range(index, start, stop, step, body):
            bounds = [stop] if (start, step) == ("0", "1") else [start, stop]
            yield f"for {index} in range({', '.join(bounds if step == '1' else [*bounds, step])}):"
            yield from _block(body)
        case While(test, condition, body):
            yield "while True:"
            for line in (line for part in test for line in _lines(part)):
                yield f"    {line}"
            yield f"    if not {condition}:"
            yield "        break"
            yield from _block(body)
        case Branch(condition, then, orelse):
            yield f"if {condition}:"
            yield from _block(then)
            if orelse:
                yield "else:"
                yield from _block(orelse)


def _block(statements: tuple[Statement, ...]) -> Iterator[str]:
    lines = [f"    {line}" for statement in statements for line in _lines(statement)]
    if all(line.lstrip().startswith("#") for line in lines):
        lines.append("    pass")
    yield from lines


def _invoke_lines(statement: Invoke) -> Iterator[str]:
    arguments = [_pointer(access) for access in statement.pointers]
    yield f"status = invoke({', '.join([statement.address, *arguments, *statement.sizes])})"
    yield "if status != 0:"
    yield "    return status"


def _pointer(access: Access) -> str:
    offset = access.offset.text
    return f"behind({access.pointer}, {offset})" if offset else access.pointer


def _store(store: Store) -> str:
    element = _element(store.access)
    if store.add in ("", ONCE):
        return f"{element} {'+=' if store.add else '='} {store.name}"
    return f"{element} = fma({store.name}, {store.add}, {element})"


def _loop_lines(loop: Loop) -> Iterator[str]:
    if loop.blocked:
        block = f"{loop.index}b"
        yield f"for {block} in range(0, {loop.extent}, {BLOCK}):"
        inner = f"range({block}, min({block} + {BLOCK}, {loop.extent}))"
        for line in _plain_loop(loop, inner):
            yield f"    {line}"
    else:
        yield from _plain_loop(loop, f"range({loop.extent})")


def _plain_loop(loop: Loop, extent: str) -> Iterator[str]:
    for statement in loop.before:
        yield from _lines(statement)
    yield f"for {loop.index} in {extent}:"
    for statement in loop.body:
        for line in _lines(statement):
            yield f"    {line}"
    for statement in loop.after:
        yield from _lines(statement)


def _element(access: Access) -> str:
    terms = [_step(i, stride) for i, stride in access.terms]
    if access.offset.text:
        terms.insert(0, access.offset.text)
    return f"{access.pointer}[{join_terms(terms) or 0}]"


def _step(index: str, stride: str) -> str:
    if stride in ("1", "-1"):
        return stride[:-1] + index
    return f"-{index}*{stride[1:]}" if stride[0] == "-" else f"{index}*{stride}"


def _expression(let: Let) -> str:
    operands = tuple(_operand(o, let.text) for o in let.operands)
    if let.dtype.kind == "b" and let.text == "cast({0})":
        return f"{operands[0]} != 0"
    text = let.text.replace("cast(", f"{let.dtype.name}(").format(*operands)
    exact = let.dtype.kind == "b" or let.dtype == np.float64 or let.text == "cast({0})"
    return text if exact else cast(text, let.dtype)


def _operand(name: str, text: str) -> str:
    """A negative literal needs parentheses beside an operator."""
    return f"({name})" if name.startswith("-") and "(" not in text else name


def cast(text: str, dtype: Dtype) -> str:
    """Convert an expression to a dtype: Numba widens float32 and small integers in arithmetic."""
    return f"{dtype.name}({text})"


def multiple(times: float, dtype: Dtype) -> str:
    """Print how many times a scalar is added, as `Store` takes it."""
    if not times:
        return ""
    return ONCE if times == 1.0 else literal(times, dtype)


def literal(value: Any, dtype: Dtype) -> str:
    """Print a number so that it has exactly this value and dtype."""
    if dtype.kind == "b":
        return str(bool(value))
    if dtype.kind in "iu":
        return f"{dtype.name}({int(value)})"
    number = float(np.asarray(value, dtype))
    text = repr(number) if math.isfinite(number) else str(number)
    return text if dtype.itemsize == 8 else f"{dtype.name}({text})"
