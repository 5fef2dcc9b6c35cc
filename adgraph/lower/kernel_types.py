"""Kernel text as a syntax tree, and the type of each of its variables.

`read_kernel` takes the text of one kernel and gives a `KernelTree`: parameters, statements, and
one type for each local variable. What an operation on types gives is said here once, for the
inference and for the printer: NumPy's promotion, but integers are computed in 64 bits.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from adgraph.lower import vmath
from adgraph.lower.emitter import SCALARS, Scalar

INT64, BOOL, FLOAT64 = SCALARS["i8"], SCALARS["b1"], SCALARS["f8"]
CASTS = {
    **{np.dtype(code).name: scalar for code, scalar in SCALARS.items() if code != "b1"},
    "boolean": BOOL,
}
FOLDS = {
    "fold_add": ("fadd", "add"),
    "fold_multiply": ("fmul", "mul"),
    "fold_maximum": ("maximum", "maximum"),
    "fold_minimum": ("minimum", "minimum"),
}
NUMBERS = {"inf": np.inf, "nan": np.nan}
ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
BITWISE = (ast.BitAnd, ast.BitOr, ast.BitXor)


class KernelTextError(Exception):
    """Kernel text that is not in the subset: the text was written by adgraph, so this is a bug."""


@dataclass(frozen=True)
class KernelTree:
    """One kernel: the pointers' element types, the names of its integers, locals, statements."""

    name: str
    pointers: dict[str, Scalar]
    sizes: tuple[str, ...]
    types: dict[str, Scalar]
    body: tuple[ast.stmt, ...]


def read_kernel(text: str, dtypes: Sequence[str], sizes: int) -> KernelTree:
    """Parse the text of one kernel and infer the types of its variables.

    >>> read_kernel("def f(x, n): a = x[n] + 1", ["f4"], 1).types["a"].code
    'f8'
    """
    (function,) = ast.parse(text).body
    if not isinstance(function, ast.FunctionDef):
        raise refused(function, "a kernel is one function")
    names = [argument.arg for argument in function.args.args]
    if len(names) != len(dtypes) + sizes:
        raise refused(function, f"there are {len(dtypes)} pointers and {sizes} integers")
    pointers = {name: _scalar(code, function) for name, code in zip(names, dtypes, strict=False)}
    integers = tuple(names[len(dtypes) :])
    body = tuple(function.body)
    types = _Inference(pointers, dict.fromkeys(integers, INT64)).run(body)
    return KernelTree(function.name, pointers, integers, types, body)


def _scalar(code: str, at: ast.AST) -> Scalar:
    if code not in SCALARS:
        raise refused(at, f"there are no kernels for elements of dtype {np.dtype(code)}")
    return SCALARS[code]


def refused(node: ast.AST, why: str) -> KernelTextError:
    """Return the error that names a line of kernel text."""
    line = getattr(node, "lineno", 0)
    return KernelTextError(
        f"line {line} of the kernel, `{ast.unparse(node).splitlines()[0]}`: {why}"
    )


# --- what operations give -------------------------------------------------------------------------


@functools.cache
def promoted(a: Scalar, b: Scalar) -> Scalar:
    """Return the type to which NumPy brings two dtypes."""
    dtype = np.result_type(np.dtype(a.code), np.dtype(b.code))
    return SCALARS[f"{dtype.kind}{dtype.itemsize}"]


def computed(kind: Scalar) -> Scalar:
    """Return the type in which arithmetic is done: integers and bools in 64 bits."""
    if kind.is_float:
        return kind
    return SCALARS["u8"] if kind.code[0] == "u" else INT64


def arithmetic_type(operator: ast.operator, a: Scalar, b: Scalar) -> Scalar | None:
    """Return the type in which `a operator b` is computed, or None if there is no such operation.

    It is the type of the operands; a quotient is a float.
    """
    if isinstance(operator, BITWISE):
        if a.is_float or b.is_float:
            return None
        if a == b == BOOL:
            return BOOL
    elif not isinstance(operator, ARITHMETIC):
        return None
    if a.is_float or b.is_float:
        return promoted(a, b)
    if isinstance(operator, ast.Div):
        return FLOAT64
    a, b = computed(a), computed(b)
    return a if a == b else INT64


def negated_type(operator: ast.unaryop, kind: Scalar) -> Scalar | None:
    """Return the type of `-x`, `+x`, `~x` or `not x`."""
    match operator:
        case ast.Not():
            return BOOL
        case ast.Invert():
            return None if kind.is_float else BOOL if kind == BOOL else computed(kind)
        case _:
            return computed(kind)


def compared_type(a: Scalar, b: Scalar) -> Scalar | None:
    """Return the type in which two values are compared, None if no integer type holds both."""
    if a == b or a.is_float or b.is_float:
        return promoted(a, b)
    a, b = computed(a), computed(b)
    return a if a == b else None


def operand_type(function: vmath.Function, kinds: Sequence[Scalar]) -> Scalar:
    """Return the type in which a function of `vmath` is computed."""
    kind = functools.reduce(promoted, kinds)
    needs_float = function.family in ("float", "predicate")
    return FLOAT64 if needs_float and not kind.is_float else kind


def literal_type(value: float) -> Scalar:
    """Return the type of a literal."""
    match value:
        case bool():
            return BOOL
        case int():
            return INT64 if value < 2**63 else SCALARS["u8"]
        case _:
            return FLOAT64


# --- inference ------------------------------------------------------------------------------------


class _Inference:
    """The types found so far: a variable has the promotion of all that is assigned to it."""

    def __init__(self, pointers: dict[str, Scalar], types: dict[str, Scalar]) -> None:
        self._pointers = pointers
        self._types = types

    def run(self, body: Sequence[ast.stmt]) -> dict[str, Scalar]:
        pairs = list(assignments(body))
        changed = True
        while changed:
            changed = False
            for name, value in pairs:
                kind = INT64 if value is None else self._type(value)
                before = self._types.get(name)
                after = kind if before is None or kind is None else promoted(before, kind)
                if after is not None and after != before:
                    self._types[name] = after
                    changed = True
        for name, value in pairs:
            if name not in self._types and value is not None:
                raise refused(value, f"no value is ever given to a variable of `{name}`")
        return self._types

    def _type(self, node: ast.expr) -> Scalar | None:
        """The type of an expression, None as long as that of a variable in it is unknown."""
        match node:
            case ast.Constant(value=bool() | int() | float() as value):
                return literal_type(value)
            case ast.Name(id=name):
                return FLOAT64 if name in NUMBERS else self._types.get(name)
            case ast.Compare() | ast.BoolOp():
                return BOOL
            case ast.UnaryOp(op=operator, operand=operand):
                kind = self._type(operand)
                return None if kind is None else negated_type(operator, kind)
            case ast.BinOp(left=left, op=operator, right=right):
                a, b = self._type(left), self._type(right)
                return None if a is None or b is None else arithmetic_type(operator, a, b)
            case ast.Subscript(value=ast.Name(id=pointer)):
                return self._pointers.get(pointer)
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._call_type(name, arguments)
        return None

    def _call_type(self, name: str, arguments: Sequence[ast.expr]) -> Scalar | None:
        if name in CASTS:
            return CASTS[name]
        if name == "invoke":
            return INT64
        if name in FOLDS:
            return self._type(arguments[0])
        kinds = [self._type(x) for x in (arguments[1:] if name == "where" else arguments)]
        known = [kind for kind in kinds if kind is not None]
        if len(known) < len(kinds):
            return None
        if name in ("where", "min", "max"):
            return functools.reduce(promoted, known)
        function = vmath.FUNCTIONS.get(name)
        if function is None:
            return None
        return BOOL if function.family == "predicate" else operand_type(function, known)


def assignments(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.expr | None]]:
    """List the variables that statements assign, with the values; None stands for an index."""
    for statement in body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                yield name, value
            case ast.AugAssign(target=ast.Name(id=name) as target, op=operator, value=value):
                read = ast.Name(name, ast.Load())
                yield name, ast.copy_location(ast.BinOp(read, operator, value), target)
            case ast.For(target=ast.Name(id=name), body=inner):
                yield name, None
                yield from assignments(inner)
            case ast.While(body=inner):
                yield from assignments(inner)
            case ast.If(body=then, orelse=orelse):
                yield from assignments(then)
                yield from assignments(orelse)
