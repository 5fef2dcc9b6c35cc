"""Tracers: stand-ins for arrays that record what is done to them.

A `Cell` holds one array's current value. A `Tracer` is a handle: a cell and a path of view steps.
Reading applies the path, writing puts the piece back through it, so views alias as in NumPy. An
`IndexTracer` stands for an affine function of loop indices. The programs under construction are in
`frames`; what a tracer offers of ndarray is in `array_interface`. Begin with `Tracer.apply`, then
`read` and `write`.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, TracingError, library_call, message
from adgraph.ir.dims import Affine, Dim
from adgraph.ir.graph import Value
from adgraph.ir.op import Kind, Op
from adgraph.ir.substitute import symbols_of
from adgraph.ir.types import ArrayType, Constant
from adgraph.ops.constant import convert
from adgraph.ops.control import index as index_op
from adgraph.ops.indexing import take
from adgraph.tracing.array_interface import DISPATCH, ArrayInterface
from adgraph.tracing.foreign import instead_of
from adgraph.tracing.frames import (
    Cell,
    current,
    known_constant,
    literal,
    origin,
    read_cell,
    tracing,
    uncapturable,
    write_cell,
)
from adgraph.tracing.views import (
    PARTS,
    View,
    composed,
    contiguous,
    picks,
    reshaped,
    step_type,
    viewable,
    writable,
)

PythonNumber = type[bool] | type[int] | type[float] | type[complex]
WEAK: dict[str, PythonNumber] = {"b": bool, "i": int, "u": int, "f": float, "c": complex}
SUPPORTED_KINDS = "biufc"


def advice(text: str) -> str:
    """Add to what to write instead that a function was traced without its source, if one was."""
    unread = current().unread if tracing() else []
    if not unread:
        return text
    return (
        f"put {unread[-1]} into a file or a notebook, where its source can be read (it was typed "
        f"at the prompt, given with -c, or on standard input); or {text}"
    )


class Tracer(ArrayInterface):
    """An array, or a view of one, in a program under construction.

    `weak` is the Python type of a traced Python number: it takes its partner's dtype (NEP 50).
    `writable` tells an array from a scalar, and from a view that NumPy makes read-only.
    """

    __slots__ = ("cell", "path", "weak", "writable")

    def __init__(
        self, cell: Cell, path: tuple[View, ...] = (), weak: PythonNumber | None = None
    ) -> None:
        self.cell = cell
        self.path = path
        self.weak = weak
        self._type = cell.value.type
        for step in path:
            self._type = step_type(step, self._type)
        self.writable = bool(self._type.shape)

    @property
    def positions(self) -> list[Cell]:
        """The positions in its path that are known only when running."""
        return [step.position for step in self.path if step.position is not None]

    def __repr__(self) -> str:
        weak = f", weak {self.weak.__name__}" if self.weak else ""
        return f"Tracer({self._type}{weak})"

    # --- recording --------------------------------------------------------------------------

    def apply(self, op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
        """Record an op; a view of this tracer extends its path, unless it has no cell to view."""
        made = args[0] is self and not isinstance(self, IndexTracer)
        if made and (op.kind is Kind.VIEW or (op in PARTS and self.shape)):
            return apply_view(self, op, attrs)
        return emit(op, args, attrs)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        current()  # a value kept after its trace is another mistake
        by = library_call()
        raise uncapturable(
            TracingError(
                message(
                    f"a traced array {self._type} was converted to a plain NumPy array"
                    + (f" by {by}, which adgraph does not know" if by else ""),
                    "while tracing there are no numbers yet, only a program that will compute them",
                    advice(instead_of(by)),
                )
            )
        )

    def __copy__(self) -> Any:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    # --- Python's conversions: refused unless the value is known -------------------------------

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise uncapturable(
            TracingError(
                message(
                    f"a traced array {self._type} was pickled",
                    "while tracing there are no numbers yet that could be stored or sent",
                    "pickle arguments and results, outside the traced function",
                )
            )
        )

    def __hash__(self) -> int:
        raise uncapturable(
            TracingError(
                message(
                    f"a traced value {self._type} was used as the key of a dict or in a set",
                    "while tracing there is no number yet that could be looked up",
                    "mark the argument as static: @trace(static_argnames=...), or select from an "
                    "array: table[i]",
                )
            )
        )

    def __bool__(self) -> bool:
        current()
        known = known_value(self)
        if known is not None:
            return bool(known)
        raise uncapturable(
            TracingError(
                message(
                    f"the truth value of a traced array {self._type} is not known while tracing",
                    "a decision that Python makes (an assert, a generator, code whose source "
                    "cannot be read, an if on a whole array) needs a number now; the graph has "
                    "none",
                    "select elementwise with np.where(condition, a, b), or mark the argument that "
                    "decides as static: @trace(static_argnames=...)",
                )
            )
        )

    def __index__(self) -> int:
        current()
        known = known_value(self)
        if known is not None and self.dtype.kind in "iu":
            return operator.index(known.item())
        raise uncapturable(
            TracingError(
                message(
                    f"a traced value {self._type} was used where Python needs "
                    f"{'an integer' if self.dtype.kind in 'biu' else 'a number'} now",
                    "sizes and positions in lists must be known while tracing, and a plain NumPy "
                    "array cannot hold a traced value",
                    advice(
                        "mark the argument as static: @trace(static_argnames=...); an array may "
                        "be indexed by traced integers: x[i]"
                        if self.dtype.kind in "biu"
                        else "use the function of np with the same purpose, format results "
                        "outside the traced function, or mark the argument as static: "
                        "@trace(static_argnames=...)"
                    ),
                )
            )
        )

    def __format__(self, spec: str) -> str:
        known = known_value(self)
        return format(known.item(), spec) if known is not None and self.size == 1 else repr(self)

    def __imatmul__(self, other: Any) -> Any:
        write(self, self @ other)
        return self


class ArrayTracer(Tracer):
    """A tracer with at least one axis.

    NumPy treats an object with `__len__` as a sequence, so a scalar must not have these methods.
    """

    __slots__ = ()

    def __len__(self) -> int:
        return operator.index(self.shape[0])

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(self.shape[0]))

    def __getitem__(self, key: Any) -> Any:
        return DISPATCH.getitem(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        DISPATCH.setitem(self, key, value)


class ScalarTracer(Tracer):
    """A tracer without axes: a NumPy scalar or a Python number."""

    __slots__ = ()


class IndexTracer(ScalarTracer):
    """A Python integer that is an affine function of loop indices, another one in every trip."""

    __slots__ = ("dim",)

    def __init__(self, dim: Affine, weak: PythonNumber | None = int) -> None:
        self.dim = dim
        super().__init__(Cell(_AN_INTEGER), (), weak)


_AN_INTEGER = Value(ArrayType(np.dtype(np.int64), ()))


def dim_of(x: Any) -> Dim | None:
    """Return an integer that Python or a loop index gives, None for anything else."""
    if isinstance(x, IndexTracer):
        return x.dim
    return int(x) if isinstance(x, (int, np.integer)) and not isinstance(x, bool) else None


def integer(dim: Dim, weak: PythonNumber | None = int) -> Any:
    """Return what a user's program sees of a dim: a number, or a tracer of an index."""
    return IndexTracer(dim, weak) if isinstance(dim, Affine) else dim


def question_of(x: Any) -> Dim | None:
    """Return the difference of two affine functions of loop indices of which a number was made.

    If it is a comparison or an extreme, the sign of the difference would decide it.
    """
    node = current().producer(read(x)) if isinstance(x, Tracer) and not x.shape else None
    sides = [_affine_value(v) for v in node.inputs] if node is not None else []
    if len(sides) != 2 or None in sides:
        return None
    return sides[0] - sides[1]  # type: ignore[operator]  # None was excluded


def _affine_value(value: Value) -> Dim | None:
    node = current().producer(value)
    if node is not None and node.op is index_op:
        found: Dim = node.attrs["dim"]
        return found
    known = known_constant(value)
    return dim_of(known.array[()]) if known is not None and not known.array.ndim else None


def tracer(value: Value, weak: PythonNumber | None = None) -> Tracer:
    """Wrap a value of the current program as a new array."""
    return _handle(Cell(value), (), weak)


def _handle(cell: Cell, path: tuple[View, ...], weak: PythonNumber | None = None) -> Tracer:
    if not path:
        return (ArrayTracer if cell.value.type.shape else ScalarTracer)(cell, path, weak)
    handle = ArrayTracer(cell, path, weak)
    return handle if handle.shape else ScalarTracer(cell, path, weak)


# --- reading and writing ------------------------------------------------------------------------


def read(handle: Tracer) -> Value:
    """Return the current value of a handle in the current program."""
    builder = current()
    if isinstance(handle, IndexTracer):
        return builder.emit(index_op, (), {"dim": handle.dim}, origin())[0]
    value = read_cell(handle.cell)
    for step in handle.path:
        operands = step.operands(value)
        known = _fold(step.op, operands, step.attrs)
        (value,) = known or builder.emit(step.op, operands, step.attrs, origin())
    return value


def write(handle: Tracer, value: Any) -> None:
    """Replace the elements a handle refers to; every view of the same array sees it."""
    new = read(as_tracer(value, handle.type.dtype))
    if new.type.shape != handle.shape:
        try:
            stretched: Any = np.broadcast_to(tracer(new), handle.shape)
        except ShapeError:
            raise ShapeError(
                message(
                    f"cannot assign an array of shape {new.type.shape} to one of shape "
                    f"{handle.shape}",
                    "the value must broadcast to the selected part",
                )
            ) from None
        new = read(stretched)
    check_writable(handle)
    _check_reshapes(handle)
    write_cell(handle.cell, _put(read_cell(handle.cell), handle.path, new))


def check_writable(handle: Tracer) -> None:
    """Refuse to write into a view that NumPy makes read-only."""
    if handle.shape and not handle.writable:
        raise ShapeError(
            message(
                "assignment destination is read-only",
                "np.broadcast_to and np.diagonal give views that NumPy refuses to write",
                "copy it first, y = y.copy(), or write into the array it was made of",
            )
        )


def _check_reshapes(handle: Tracer) -> None:
    """Refuse to write through a reshape that NumPy may have copied."""
    if not reshaped(handle.cell.value.type, handle.path):
        return
    current().require_order()
    if not handle.cell.c_ordered:
        raise TracingError(
            message(
                "a reshape or ravel of an array was written whose memory order is not known",
                "NumPy gives the result of operations on transposed arrays their order; the "
                "reshape may then be a view of the array or a copy of it",
                "write into the array itself, or make it in C order first: np.array(x, order='C')",
            )
        )


def in_c_order(x: Any) -> bool:
    """Tell whether an operand is known to be in C order; with one axis the order is no matter."""
    if not isinstance(x, Tracer) or x.ndim < 2:
        return not isinstance(x, np.ndarray) or x.ndim < 2 or x.flags.c_contiguous
    return x.cell.c_ordered and contiguous(x.cell.value.type, x.path)


def _put(base: Value, path: tuple[View, ...], new: Value) -> Value:
    if not path:
        return new
    first, *rest = path
    builder = current()
    if rest:
        (piece,) = builder.emit(first.op, first.operands(base), first.attrs, origin())
        new = _put(piece, tuple(rest), new)
    op, attrs, operands = first.inverse(base, new)
    (result,) = builder.emit(op, operands, attrs, origin())
    return result


def apply_view(handle: Tracer, op: Op, attrs: Mapping[str, Any]) -> Tracer:
    """Extend the path of a handle by a view step; an element or a copy is read at once."""
    path = composed(handle.path, View(op, dict(attrs)))
    result = _handle(handle.cell, path)
    base = handle.cell.value.type
    if (result.shape or not picks(op)) and viewable(base, path):
        result.writable = handle.writable and writable(base, path)
        return result
    copied: Tracer = emit(op, (handle,), attrs)
    return copied


def part_at(handle: Tracer, position: Tracer, axis: int) -> Tracer:
    """Return the view of the part at a position along an axis that is known only when running."""
    part = _handle(handle.cell, (*handle.path, View(take, {"axis": axis}, position.cell)))
    part.writable = bool(part.shape) and handle.writable
    return part


def emit(op: Op, args: tuple[Any, ...], attrs: Mapping[str, Any]) -> Any:
    """Record an op applied to tracers and arrays of the right dtypes."""
    values = tuple(read(as_tracer(a)) for a in args)
    folded = _fold(op, values, attrs)
    results = folded or current().emit(op, values, attrs, origin())
    handles = tuple(map(tracer, results))
    if op.kind is not Kind.LIBRARY and not all(map(in_c_order, args)):
        for handle in handles:
            handle.cell.c_ordered = False
    return handles if len(handles) > 1 else handles[0]


FOLDED_ELEMENTS = 64


def _fold(op: Op, values: tuple[Value, ...], attrs: Mapping[str, Any]) -> tuple[Value, ...] | None:
    """Compute small results of known operands at once, so that Python may ask for them."""
    if op.kind is Kind.REGION:
        return None
    arrays = [c.array for c in map(known_constant, values) if c is not None]
    if not arrays or len(arrays) < len(values) or symbols_of(tuple(attrs.values())):
        return None
    if op.kind is not Kind.VIEW and any(a.size > FOLDED_ELEMENTS for a in arrays):
        return None
    types = op.result_types(tuple(v.type for v in values), attrs)
    if any(t.size > FOLDED_ELEMENTS for t in types):
        return None
    with np.errstate(all="ignore"):
        result = op.evaluate(*arrays, **attrs)
    results = result if isinstance(result, tuple) else (result,)
    return tuple(lift(np.asarray(r, t.dtype)) for r, t in zip(results, types, strict=True))


# --- lifting ------------------------------------------------------------------------------------


def refuse_subclass(x: Any, name: str) -> None:
    """Refuse arrays whose class gives NumPy's functions another meaning, such as a mask."""
    if isinstance(x, np.ndarray) and type(x) not in (np.ndarray, np.memmap):
        raise TracingError(
            message(
                f"{name} is a {type(x).__name__}, a subclass of np.ndarray",
                "a subclass may change what * or np.sum mean; a program holds plain arrays",
                "pass np.asarray(x), or the data and the mask as two arrays",
            )
        )


def lift(x: Any) -> Value:
    """Make a constant of the current program."""
    array = np.asarray(x)
    if array.dtype.kind not in SUPPORTED_KINDS:
        raise DtypeError(
            message(
                f"an array of dtype {array.dtype} cannot become part of a graph",
                "supported are bool, integers, float32, float64 and complex numbers",
                "convert it first; a ragged list of lists has no numeric dtype: pad it",
            )
        )
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return literal(Constant.of(native))


def as_tracer(x: Any, dtype: Any = None) -> Tracer:
    """Turn a tracer, an array or a number into a tracer, converted to `dtype` if one is given."""
    if not isinstance(x, Tracer):
        refuse_subclass(x, "an array")
        return tracer(lift(np.asarray(x, dtype)))
    if dtype is None or x.dtype == dtype:
        return x
    converted: Tracer = emit(convert, (x,), {"dtype": np.dtype(dtype).newbyteorder("=")})
    return converted


def known_value(x: Any) -> Any:
    """Return the array of a tracer whose value is a constant of the program, else None."""
    if not isinstance(x, Tracer) or not tracing():
        return None
    if isinstance(x, IndexTracer):
        return None
    known = known_constant(read(x))
    return None if known is None else known.array


def weak_type(x: Any) -> PythonNumber | None:
    """Return the Python type of a Python number, traced or not, else None."""
    if isinstance(x, Tracer):
        return x.weak
    return type(x) if type(x) in (bool, int, float, complex) else None


def promotion(x: Any) -> Any:
    """Return what NumPy's promotion should see of an operand: a dtype or a Python number type."""
    weak = weak_type(x)
    if weak is not None:
        return np.dtype(bool) if weak is bool else weak
    if isinstance(x, np.dtype):
        return x
    return x.dtype if isinstance(x, (Tracer, np.ndarray, np.generic)) else np.asarray(x).dtype


def result_dtype(*operands: Any) -> np.dtype[Any]:
    """Return the dtype NumPy gives to a combination of the operands."""
    kinds = [promotion(x) for x in operands]
    return np.result_type(*(k if isinstance(k, np.dtype) else k(0) for k in kinds))
