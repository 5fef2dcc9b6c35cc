"""Kernels that call BLAS, in the uniform ABI, for float64 (`f8`) and float32 (`f4`).

Each public function returns the address of a kernel; its docstring lists pointers and sizes.
Matrices are row-major; BLAS, being column-major, sees transposes, so operands are swapped and
triangles exchanged instead of copied. Nothing is allocated: scratch comes as pointers. Extents must
be below 2**31. Functions come by name from `scipy.linalg.cython_blas` and `cython_lapack`.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable

import numpy as np

from adgraph.lower.kernel import ModuleSource, compile_modules
from adgraph.lower.native import SCIPY_PREFIX
from adgraph.lower.routine import Routine
from adgraph.lower.tiles import SCALARS, mirror

SINGULAR = 1
PREFIXES = {"f8": "d", "f4": "s", "c16": "z", "c8": "c"}
PAIRS = {"c16": "f8", "c8": "f4"}  # complex numbers, by the dtype of their parts

# OpenBLAS packs blocks of its operands into memory that each of its threads gets once; of large
# products and factorizations 4.7 to 5.9 MB were touched, whatever their size.
PACKING_BYTES = 8_000_000


@functools.cache
def matmul(dtype: str) -> int:
    """Return the kernel C = A @ B, batched.

    Pointers: A, B, C. Sizes: batch, m, n, k, row and column stride of A (one of them 1), of B
    (likewise), row stride of C (its column stride is 1), batch strides of A, B, C (0 repeats).
    Strides count elements.
    """
    return compiled("matmul", dtype, _matmul(accumulate=False))


@functools.cache
def matmul_add(dtype: str) -> int:
    """Return the kernel C += A @ B, with the operands of `matmul`."""
    return compiled("matmul_add", dtype, _matmul(accumulate=True))


@functools.cache
def symmetric_product(dtype: str) -> int:
    """Return the kernel C = A @ A^T, batched; its operands are those of `matmul`, B being A^T."""
    return compiled("symmetric_product", dtype, _symmetric_product)


def compiled(name: str, dtype: str, write: Callable[[Routine, Library], None]) -> int:
    """Compile what `write` writes as a kernel for one dtype; return its address."""
    symbol = f"adgraph_{name}_{dtype}"
    routine = Routine(symbol)
    write(routine, Library(routine, dtype))
    (address,) = compile_modules([ModuleSource(symbol, routine.text(), "all")])
    return address


class Library:
    """Calls of BLAS and LAPACK, and loops over whole matrices, for one dtype.

    An element of a complex matrix is a `scalar` of two parts, which LLVM only moves.
    """

    def __init__(self, routine: Routine, dtype: str) -> None:
        self.routine = routine
        self.prefix = PREFIXES[dtype]
        self.part = SCALARS[PAIRS.get(dtype, dtype)]
        self.pairs = dtype in PAIRS
        self.scalar = f"[2 x {self.part}]" if self.pairs else self.part
        self.width = 1 + self.pairs  # of an element, in parts
        self.suffix = {"double": "f64", "float": "f32"}[self.part]

    def blas(self, name: str, *arguments: str, result: str = "void") -> str:
        """Call BLAS; return what it returns."""
        function = f"{SCIPY_PREFIX}linalg.cython_blas.{self.prefix}{name}"
        return self.routine.call(result, function, [("ptr", argument) for argument in arguments])

    def lapack(self, name: str, *arguments: str) -> str:
        """Call LAPACK, whose last argument is `info`; return info as int32."""
        info = self.routine.by_reference("i32", "0")
        function = f"{SCIPY_PREFIX}linalg.cython_lapack.{self.prefix}{name}"
        pointers = [("ptr", argument) for argument in (*arguments, info)]
        self.routine.call("void", function, pointers)
        return self.routine.load("i32", info)

    def number(self, value: float) -> str:
        """Pass a real number by reference."""
        return self.routine.by_reference(self.scalar, self.literal(value))

    def real(self, value: float) -> str:
        """Write a real number; LLVM has no decimal ones that a `float` cannot hold."""
        held = float(np.float32(value)) if self.part == "float" else value
        return f"0x{struct.pack('>d', held).hex().upper()}"

    def literal(self, value: float) -> str:
        """Write a real number as an element."""
        return f"[{self.part} {value:.1f}, {self.part} 0.0]" if self.pairs else f"{value:.1f}"

    def is_zero(self, value: str) -> str:
        """Tell whether a number is zero."""
        r = self.routine
        if not self.pairs:
            return r.emit(f"fcmp oeq {self.part} {value}, 0.0")
        sides = (r.emit(f"extractvalue {self.scalar} {value}, {side}") for side in (0, 1))
        first, second = (r.emit(f"fcmp oeq {self.part} {side}, 0.0") for side in sides)
        return r.binary("and", first, second, "i1")

    def offset(self, pointer: str, index: str) -> str:
        """Return the address of element `index`."""
        return self.routine.offset(self.scalar, pointer, index)

    def copy(self, count: str, source: str, target: str) -> None:
        """Copy so many elements."""
        with self.routine.loop(count) as i:
            self.routine.store(self.scalar, self.routine.load(self.scalar, source, i), target, i)

    def at(self, i: str, stride: str, j: str) -> str:
        """Return the index i * stride + j."""
        return self.routine.binary("add nsw", self.routine.binary("mul nsw", i, stride), j)

    def swap(self, pointer: str, i: str, j: str) -> None:
        """Exchange two elements."""
        r = self.routine
        a, b = r.load(self.scalar, pointer, i), r.load(self.scalar, pointer, j)
        r.store(self.scalar, b, pointer, i)
        r.store(self.scalar, a, pointer, j)

    def factor(self, n: str, matrix: str, pivots: str) -> str:
        """Factor in place what LAPACK sees (the transpose); return info."""
        order = self.routine.integer(n)
        return self.lapack("getrf", order, order, matrix, order, pivots)

    def square_product(self, n: str, a: str, b: str, c: str) -> None:
        """Write the product of two matrices of order n in BLAS's eyes."""
        order, plain = self.routine.integer(n), self.routine.character("N")
        factors = (self.number(1.0), a, order, b, order)
        self.blas("gemm", plain, plain, order, order, order, *factors, self.number(0.0), c, order)

    def stop_on_zero_diagonal(self, n: str, matrix: str) -> None:
        """Return the status of singular matrices if an element of the diagonal is zero."""
        with self.routine.loop(n) as i:
            diagonal = self.routine.load(self.scalar, matrix, self.at(i, n, i))
            self.routine.stop_when(self.is_zero(diagonal), SINGULAR)

    def triangular(
        self, side: str, uplo: str, trans: str, unit: str, extents: tuple[str, str], m: str, x: str
    ) -> None:
        """Solve with triangular M in place; X is extents[0] by extents[1] in BLAS's eyes."""
        rows, columns = map(self.routine.integer, extents)
        order = rows if side == "L" else columns
        letters = [self.routine.character(side), uplo, trans, unit]
        self.blas("trsm", *letters, rows, columns, self.number(1.0), m, order, x, rows)


def _matmul(*, accumulate: bool) -> Callable[[Routine, Library], None]:
    """Write gemm, or gemv and dot for vectors; k = 0 gives zeros (gemv would not)."""

    def write(r: Routine, library: Library) -> None:
        a, b, c = (r.pointer(i) for i in range(3))
        batch, m, n, k, *strides = (r.size(i) for i in range(12))
        *matrix_strides, batch_a, batch_b, batch_c = strides
        work = r.binary("mul", m, n)
        r.stop_when(r.compare("sle", work, "0"), 0)
        with r.loop(batch) as index:
            operands = tuple(
                library.offset(pointer, r.binary("mul", index, stride))
                for pointer, stride in ((a, batch_a), (b, batch_b), (c, batch_c))
            )
            _one_matmul(r, library, operands, (m, n, k), matrix_strides, accumulate)

    return write


def _one_matmul(
    r: Routine,
    library: Library,
    operands: tuple[str, ...],
    extents: tuple[str, str, str],
    strides: list[str],
    accumulate: bool,
) -> None:
    m, n, k = extents
    *_, row_c = strides
    empty = r.compare("sle", k, "0")
    if not accumulate:
        with r.when(empty):
            _clear(r, library, operands[2], m, n, row_c)
    one_row, one_column = r.compare("eq", m, "1"), r.compare("eq", n, "1")
    both = r.binary("and", one_row, one_column, "i1")
    either = r.binary("or", one_row, one_column, "i1")
    some = r.binary("xor", empty, "true", "i1")
    row_only = r.binary("and", one_row, r.binary("xor", one_column, "true", "i1"), "i1")
    column_only = r.binary("and", one_column, r.binary("xor", one_row, "true", "i1"), "i1")
    with r.when(some):
        with r.when(both):
            _dot(r, library, operands, k, strides, accumulate)
        with r.when(column_only):
            _matrix_vector(r, library, operands, extents, strides, accumulate)
        with r.when(row_only):
            _vector_matrix(r, library, operands, extents, strides, accumulate)
        with r.when(r.binary("xor", either, "true", "i1")):
            _gemm(r, library, operands, extents, strides, accumulate)


def _clear(r: Routine, library: Library, c: str, m: str, n: str, row_c: str) -> None:
    with r.loop(m) as i, r.loop(n) as j:
        r.store(library.scalar, "0.0", c, library.at(i, row_c, j))


def _dot(
    r: Routine,
    library: Library,
    operands: tuple[str, ...],
    k: str,
    strides: list[str],
    accumulate: bool,
) -> None:
    a, b, c = operands
    _, column_a, row_b, _, _ = strides
    left, right = _lowest(r, library, a, k, column_a), _lowest(r, library, b, k, row_b)
    arguments = (r.integer(k), left, r.integer(column_a), right, r.integer(row_b))
    value = library.blas("dot", *arguments, result=library.scalar)
    if accumulate:
        value = r.binary("fadd", r.load(library.scalar, c), value, library.scalar)
    r.store(library.scalar, value, c)


def _lowest(r: Routine, library: Library, vector: str, count: str, stride: str) -> str:
    """Return where BLAS has a vector begin: at its last element where the stride is negative."""
    last = r.binary("mul", r.binary("sub", count, "1"), stride)
    return library.offset(vector, r.select(r.compare("slt", last, "0"), last, "0"))


def letter(r: Routine, plain: str, if_plain: str, otherwise: str) -> str:
    """Pass one of two letters by reference."""
    code = r.select(plain, str(ord(if_plain)), str(ord(otherwise)), "i8")
    return r.by_reference("i8", code)


def _leading(r: Routine, plain: str, row: str, column: str, width: str, height: str) -> str:
    """Return the leading dimension: the stride which is not 1, at least what BLAS asks for."""
    stride = r.select(plain, row, column)
    return r.integer(r.at_least(stride, r.select(plain, width, height)))


def _matrix_vector(
    r: Routine,
    library: Library,
    operands: tuple[str, ...],
    extents: tuple[str, str, str],
    strides: list[str],
    accumulate: bool,
) -> None:
    """C[m, 1] = A B[k, 1]: a row-major A is the transpose of what BLAS sees."""
    a, b, c = operands
    m, _, k = extents
    row_a, column_a, row_b, _, row_c = strides
    plain = r.compare("eq", column_a, "1")
    library.blas(
        "gemv",
        letter(r, plain, "T", "N"),
        r.integer(r.select(plain, k, m)),
        r.integer(r.select(plain, m, k)),
        library.number(1.0),
        a,
        _leading(r, plain, row_a, column_a, k, m),
        _lowest(r, library, b, k, row_b),
        r.integer(row_b),
        library.number(float(accumulate)),
        c,
        r.integer(row_c),
    )


def _vector_matrix(
    r: Routine,
    library: Library,
    operands: tuple[str, ...],
    extents: tuple[str, str, str],
    strides: list[str],
    accumulate: bool,
) -> None:
    """C[1, n] = A[1, k] B, which is B^T times the row A."""
    a, b, c = operands
    _, n, k = extents
    _, column_a, row_b, column_b, _ = strides
    plain = r.compare("eq", column_b, "1")
    library.blas(
        "gemv",
        letter(r, plain, "N", "T"),
        r.integer(r.select(plain, n, k)),
        r.integer(r.select(plain, k, n)),
        library.number(1.0),
        b,
        _leading(r, plain, row_b, column_b, n, k),
        _lowest(r, library, a, k, column_a),
        r.integer(column_a),
        library.number(float(accumulate)),
        c,
        r.integer("1"),
    )


def _gemm(
    r: Routine,
    library: Library,
    operands: tuple[str, ...],
    extents: tuple[str, str, str],
    strides: list[str],
    accumulate: bool,
) -> None:
    """C^T = B^T A^T in BLAS's eyes, which sees every row-major matrix transposed."""
    a, b, c = operands
    m, n, k = extents
    row_a, column_a, row_b, column_b, row_c = strides
    plain_a = r.compare("eq", column_a, "1")
    plain_b = r.compare("eq", column_b, "1")
    library.blas(
        "gemm",
        letter(r, plain_b, "N", "T"),
        letter(r, plain_a, "N", "T"),
        r.integer(n),
        r.integer(m),
        r.integer(k),
        library.number(1.0),
        b,
        _leading(r, plain_b, row_b, column_b, n, k),
        a,
        _leading(r, plain_a, row_a, column_a, k, m),
        library.number(float(accumulate)),
        c,
        r.integer(r.at_least(row_c, n)),
    )


def _symmetric_product(r: Routine, library: Library) -> None:
    """Write syrk on the upper triangle that BLAS sees, which is below our diagonal; k is not 0."""
    a, _, c = (r.pointer(i) for i in range(3))
    batch, n, _, k, row_a, column_a, _, _, row_c, step_a, _, step_c = (r.size(i) for i in range(12))
    plain = r.compare("eq", column_a, "1")
    with r.loop(batch) as index:
        source = library.offset(a, r.binary("mul", index, step_a))
        target = library.offset(c, r.binary("mul", index, step_c))
        library.blas(
            "syrk",
            r.character("U"),
            letter(r, plain, "T", "N"),
            r.integer(n),
            r.integer(k),
            library.number(1.0),
            source,
            _leading(r, plain, row_a, column_a, k, n),
            library.number(0.0),
            target,
            r.integer(row_c),
        )
        mirror(r, library.scalar, n, target, row_c)
