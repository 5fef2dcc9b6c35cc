"""Kernels that call BLAS and LAPACK, in the uniform ABI, for float64 (`f8`) and float32 (`f4`).

Each public function returns the address of a kernel; its docstring lists pointers and sizes.
Matrices are row-major; BLAS, being column-major, sees transposes, so operands are swapped and
triangles exchanged instead of copied. Nothing is allocated: scratch comes as pointers. Extents must
be below 2**31. Functions come by name from `scipy.linalg.cython_blas` and `cython_lapack`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from adgraph.lower.kernel import ModuleSource, compile_modules
from adgraph.lower.native import SCIPY_PREFIX
from adgraph.lower.routine import Routine
from adgraph.lower.tiles import SCALARS, mirror
from adgraph.ops.linalg import INV_BLOCK

SINGULAR = 1
NOT_POSITIVE_DEFINITE = 2
PREFIXES = {"f8": "d", "f4": "s"}

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
    return _compile("matmul", dtype, _matmul(accumulate=False))


@functools.cache
def matmul_add(dtype: str) -> int:
    """Return the kernel C += A @ B, with the operands of `matmul`."""
    return _compile("matmul_add", dtype, _matmul(accumulate=True))


@functools.cache
def symmetric_product(dtype: str) -> int:
    """Return the kernel C = A @ A^T, batched; its operands are those of `matmul`, B being A^T."""
    return _compile("symmetric_product", dtype, _symmetric_product)


@functools.cache
def inv(dtype: str) -> int:
    """Return the kernel X = A^-1; status 1 where A is exactly singular.

    Pointers: A, X, scratch of INV_BLOCK * max(n, 1) elements, int32 scratch of n. Sizes: batch, n.
    """
    return _compile("inv", dtype, _inv)


@functools.cache
def lu(dtype: str) -> int:
    """Return the kernel that factors A^T = P L U, which is A in LAPACK's eyes.

    Pointers: A, packed (LU)^T, int32 pivots (from 0, n a matrix). Sizes: batch, n. A singular A is
    no error.
    """
    return _compile("lu", dtype, _lu)


@functools.cache
def lu_solve(dtype: str) -> int:
    """Return the kernel X = A^-1 B (A^-T B) from the results of `lu`; status 1 on a zero pivot.

    Pointers: A (not read), packed (LU)^T, int32 pivots, B, X. Sizes: batch, n, nrhs, transposed
    (0 or 1).
    """
    return _compile("lu_solve", dtype, _lu_solve)


@functools.cache
def det(dtype: str) -> int:
    """Return the kernel of determinants; those of singular matrices are 0.

    Pointers: A, determinants, scratch of n * n elements, int32 scratch of n. Sizes: batch, n.
    """
    return _compile("det", dtype, _det)


@functools.cache
def slogdet(dtype: str) -> int:
    """Return the kernel of signs and logarithms of determinants; (0, -inf) where singular.

    Pointers: A, signs, logarithms, scratch of n * n elements, int32 scratch of n. Sizes: batch, n.
    """
    return _compile("slogdet", dtype, _slogdet)


@functools.cache
def cholesky(dtype: str) -> int:
    """Return the kernel of lower factors, A = L L^T; status 2 where A is not positive definite.

    Only the lower triangle of A is read. Pointers: A, L. Sizes: batch, n.
    """
    return _compile("cholesky", dtype, _cholesky)


@functools.cache
def triangular_solve(dtype: str) -> int:
    """Return the kernel that solves op(A) X = B, or X op(A) = B, with triangular A.

    Only the named triangle is read; status 1 on a zero diagonal. Pointers: A, B, X. Sizes: batch,
    n, the other extent of B, then 0 or 1 for: lower, transposed, right (the second form).
    """
    return _compile("triangular_solve", dtype, _triangular_solve)


def _compile(name: str, dtype: str, write: Callable[[Routine, _Library], None]) -> int:
    symbol = f"adgraph_{name}_{dtype}"
    routine = Routine(symbol)
    write(routine, _Library(routine, dtype))
    (address,) = compile_modules([ModuleSource(symbol, routine.text())])
    return address


class _Library:
    """Calls of BLAS and LAPACK, and loops over whole matrices, for one dtype."""

    def __init__(self, routine: Routine, dtype: str) -> None:
        self.routine = routine
        self.prefix = PREFIXES[dtype]
        self.scalar = SCALARS[dtype]
        self.suffix = dtype.replace("f8", "f64").replace("f4", "f32")

    def blas(self, name: str, *arguments: str, result: str = "void") -> str:
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
        return self.routine.by_reference(self.scalar, f"{value:.1f}")

    def offset(self, pointer: str, index: str) -> str:
        return self.routine.offset(self.scalar, pointer, index)

    def copy(self, count: str, source: str, target: str) -> None:
        with self.routine.loop(count) as i:
            self.routine.store(self.scalar, self.routine.load(self.scalar, source, i), target, i)

    def at(self, i: str, stride: str, j: str) -> str:
        """Return the index i * stride + j."""
        return self.routine.binary("add nsw", self.routine.binary("mul nsw", i, stride), j)

    def swap(self, pointer: str, i: str, j: str) -> None:
        r = self.routine
        a, b = r.load(self.scalar, pointer, i), r.load(self.scalar, pointer, j)
        r.store(self.scalar, b, pointer, i)
        r.store(self.scalar, a, pointer, j)

    def factor(self, n: str, matrix: str, pivots: str) -> str:
        """Factor in place what LAPACK sees (the transpose); return info."""
        order = self.routine.integer(n)
        return self.lapack("getrf", order, order, matrix, order, pivots)

    def stop_on_zero_diagonal(self, n: str, matrix: str) -> None:
        with self.routine.loop(n) as i:
            diagonal = self.routine.load(self.scalar, matrix, self.at(i, n, i))
            zero = self.routine.emit(f"fcmp oeq {self.scalar} {diagonal}, 0.0")
            self.routine.stop_when(zero, SINGULAR)

    def triangular(
        self, side: str, uplo: str, trans: str, unit: str, extents: tuple[str, str], m: str, x: str
    ) -> None:
        """Solve with triangular M in place; X is extents[0] by extents[1] in BLAS's eyes."""
        rows, columns = map(self.routine.integer, extents)
        order = rows if side == "L" else columns
        letters = [self.routine.character(side), uplo, trans, unit]
        self.blas("trsm", *letters, rows, columns, self.number(1.0), m, order, x, rows)


def _matmul(*, accumulate: bool) -> Callable[[Routine, _Library], None]:
    """Write gemm, or gemv and dot for vectors; k = 0 gives zeros (gemv would not)."""

    def write(r: Routine, library: _Library) -> None:
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
    library: _Library,
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


def _clear(r: Routine, library: _Library, c: str, m: str, n: str, row_c: str) -> None:
    with r.loop(m) as i, r.loop(n) as j:
        r.store(library.scalar, "0.0", c, library.at(i, row_c, j))


def _dot(
    r: Routine,
    library: _Library,
    operands: tuple[str, ...],
    k: str,
    strides: list[str],
    accumulate: bool,
) -> None:
    a, b, c = operands
    _, column_a, row_b, _, _ = strides
    arguments = (r.integer(k), a, r.integer(column_a), b, r.integer(row_b))
    value = library.blas("dot", *arguments, result=library.scalar)
    if accumulate:
        value = r.binary("fadd", r.load(library.scalar, c), value, library.scalar)
    r.store(library.scalar, value, c)


def _letter(r: Routine, plain: str, if_plain: str, otherwise: str) -> str:
    code = r.select(plain, str(ord(if_plain)), str(ord(otherwise)), "i8")
    return r.by_reference("i8", code)


def _leading(r: Routine, plain: str, row: str, column: str, width: str, height: str) -> str:
    """Return the leading dimension: the stride which is not 1, at least what BLAS asks for."""
    stride = r.select(plain, row, column)
    return r.integer(r.at_least(stride, r.select(plain, width, height)))


def _matrix_vector(
    r: Routine,
    library: _Library,
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
        _letter(r, plain, "T", "N"),
        r.integer(r.select(plain, k, m)),
        r.integer(r.select(plain, m, k)),
        library.number(1.0),
        a,
        _leading(r, plain, row_a, column_a, k, m),
        b,
        r.integer(r.at_least(row_b, "1")),
        library.number(float(accumulate)),
        c,
        r.integer(row_c),
    )


def _vector_matrix(
    r: Routine,
    library: _Library,
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
        _letter(r, plain, "N", "T"),
        r.integer(r.select(plain, n, k)),
        r.integer(r.select(plain, k, n)),
        library.number(1.0),
        b,
        _leading(r, plain, row_b, column_b, n, k),
        a,
        r.integer(r.at_least(column_a, "1")),
        library.number(float(accumulate)),
        c,
        r.integer("1"),
    )


def _gemm(
    r: Routine,
    library: _Library,
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
        _letter(r, plain_b, "N", "T"),
        _letter(r, plain_a, "N", "T"),
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


def _symmetric_product(r: Routine, library: _Library) -> None:
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
            _letter(r, plain, "T", "N"),
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


def _swap_rows(
    r: Routine, library: _Library, n: str, nrhs: str, pivots: str, x: str, *, backward: bool
) -> None:
    """Exchange rows as pivots say."""
    with r.loop(n) as step:
        last = r.binary("sub", n, "1")
        row = r.binary("sub", last, step) if backward else step
        other = r.emit(f"sext i32 {r.load('i32', pivots, row)} to i64")
        with r.when(r.compare("ne", row, other)), r.loop(nrhs) as column:
            library.swap(x, library.at(row, nrhs, column), library.at(other, nrhs, column))


def _inv(r: Routine, library: _Library) -> None:
    """Write getrf and getri in place; the inverse of the transpose is the transpose."""
    a, x, work, pivots = (r.pointer(i) for i in range(4))
    batch, n = r.size(0), r.size(1)
    r.stop_when(r.compare("sle", n, "0"), 0)
    elements = r.binary("mul", n, n)
    with r.loop(batch) as index:
        start = r.binary("mul", index, elements)
        target = library.offset(x, start)
        library.copy(elements, library.offset(a, start), target)
        info = library.factor(n, target, pivots)
        r.stop_when(r.compare("sgt", info, "0", "i32"), SINGULAR)
        order = r.integer(n)
        length = r.integer(r.binary("mul", n, str(INV_BLOCK)))
        library.lapack("getri", order, target, order, pivots, work, length)


def _lu(r: Routine, library: _Library) -> None:
    a, factors, pivots = (r.pointer(i) for i in range(3))
    batch, n = r.size(0), r.size(1)
    r.stop_when(r.compare("sle", n, "0"), 0)
    elements = r.binary("mul", n, n)
    with r.loop(batch) as index:
        start = r.binary("mul", index, elements)
        target = library.offset(factors, start)
        rows = r.offset("i32", pivots, r.binary("mul", index, n))
        library.copy(elements, library.offset(a, start), target)
        library.factor(n, target, rows)
        with r.loop(n) as i:
            r.store("i32", r.binary("sub", r.load("i32", rows, i), "1", "i32"), rows, i)


def _lu_solve(r: Routine, library: _Library) -> None:
    """Write X M = B in BLAS's eyes, M = A^T = P L U, X and B being nrhs by n.

    Interchanges of the columns of X are swaps of rows here, so nothing is transposed.
    """
    _, factors, pivots, b, x = (r.pointer(i) for i in range(5))
    batch, n, nrhs, transposed = (r.size(i) for i in range(4))
    r.stop_when(r.compare("sle", r.binary("mul", n, nrhs), "0"), 0)
    elements, values = r.binary("mul", n, n), r.binary("mul", n, nrhs)
    flip = r.compare("ne", transposed, "0")
    straight = r.binary("xor", flip, "true", "i1")
    upper, lower = (r.character(c) for c in "UL")
    with r.loop(batch) as index:
        matrix = library.offset(factors, r.binary("mul", index, elements))
        rows = r.offset("i32", pivots, r.binary("mul", index, n))
        library.stop_on_zero_diagonal(n, matrix)
        start = r.binary("mul", index, values)
        target = library.offset(x, start)
        library.copy(values, library.offset(b, start), target)
        operands = (matrix, target)
        with r.when(straight):
            _solve_by(library, upper, "N", "N", n, nrhs, operands)
            _solve_by(library, lower, "U", "N", n, nrhs, operands)
            _swap_rows(r, library, n, nrhs, rows, target, backward=True)
        with r.when(flip):
            _swap_rows(r, library, n, nrhs, rows, target, backward=False)
            _solve_by(library, lower, "U", "T", n, nrhs, operands)
            _solve_by(library, upper, "N", "T", n, nrhs, operands)


def _solve_by(
    library: _Library,
    uplo: str,
    unit: str,
    trans: str,
    n: str,
    nrhs: str,
    operands: tuple[str, str],
) -> None:
    """Solve X op(M) = X; one right-hand side goes to trsv, which is faster."""
    r = library.routine
    diagonal, plain = r.character(unit), r.character(trans)
    opposite = r.character("T" if trans == "N" else "N")
    matrix, x = operands
    with r.when(r.compare("eq", nrhs, "1")):
        order = r.integer(n)
        library.blas("trsv", uplo, opposite, diagonal, order, matrix, order, x, r.integer("1"))
    with r.when(r.compare("sgt", nrhs, "1")):
        library.triangular("R", uplo, plain, diagonal, (nrhs, n), matrix, x)


def _det(r: Routine, library: _Library) -> None:
    """Multiply the pivots as mantissa and exponent, so that no partial product overflows."""
    a, values, factors, pivots = (r.pointer(i) for i in range(4))
    batch, n = r.size(0), r.size(1)
    scalar, suffix = library.scalar, library.suffix
    mantissa, exponent = r.slot(scalar), r.slot("i32")

    def times(factor: str) -> None:
        product = r.binary("fmul", r.load(scalar, mantissa), factor, scalar)
        split = r.call(f"{{{scalar}, i32}}", f"llvm.frexp.{suffix}.i32", [(scalar, product)])
        r.store(scalar, r.emit(f"extractvalue {{{scalar}, i32}} {split}, 0"), mantissa)
        shift = r.emit(f"extractvalue {{{scalar}, i32}} {split}, 1")
        total = r.binary("add", r.load("i32", exponent), shift, "i32")
        r.store("i32", total, exponent)

    with r.loop(batch) as index:
        info = _factor_copy(r, library, a, factors, pivots, n, index)
        r.store(scalar, "1.0", mantissa)
        r.store("i32", "0", exponent)
        with r.loop(n) as i:
            sign, pivot = _pivot(r, library, factors, pivots, n, i)
            times(pivot)
            times(sign)
        operands = [(scalar, r.load(scalar, mantissa)), ("i32", r.load("i32", exponent))]
        value = r.call(scalar, f"llvm.ldexp.{suffix}.i32", operands)
        singular = r.compare("sgt", info, "0", "i32")
        r.store(scalar, r.select(singular, "0.0", value, scalar), values, index)


def _slogdet(r: Routine, library: _Library) -> None:
    a, signs, logarithms, factors, pivots = (r.pointer(i) for i in range(5))
    batch, n = r.size(0), r.size(1)
    scalar, suffix = library.scalar, library.suffix
    negative_infinity = "0xFFF0000000000000"
    with r.loop(batch) as index:
        info = _factor_copy(r, library, a, factors, pivots, n, index)
        r.store(scalar, "1.0", signs, index)
        r.store(scalar, "0.0", logarithms, index)
        with r.loop(n) as i:
            sign, pivot = _pivot(r, library, factors, pivots, n, i)
            magnitude = r.call(scalar, f"llvm.fabs.{suffix}", [(scalar, pivot)])
            logarithm = r.call(scalar, f"llvm.log.{suffix}", [(scalar, magnitude)])
            total = r.binary("fadd", r.load(scalar, logarithms, index), logarithm, scalar)
            r.store(scalar, total, logarithms, index)
            unit = r.call(scalar, f"llvm.copysign.{suffix}", [(scalar, "1.0"), (scalar, pivot)])
            unit = r.binary("fmul", unit, sign, scalar)
            product = r.binary("fmul", r.load(scalar, signs, index), unit, scalar)
            r.store(scalar, product, signs, index)
        with r.when(r.compare("sgt", info, "0", "i32")):
            r.store(scalar, "0.0", signs, index)
            r.store(scalar, negative_infinity, logarithms, index)


def _factor_copy(
    r: Routine, library: _Library, a: str, factors: str, pivots: str, n: str, index: str
) -> str:
    """Factor a copy of matrix `index`; return info, 0 for empty matrices."""
    elements = r.binary("mul", n, n)
    result = r.by_reference("i32", "0")
    with r.when(r.compare("sgt", n, "0")):
        library.copy(elements, library.offset(a, r.binary("mul", index, elements)), factors)
        r.store("i32", library.factor(n, factors, pivots), result)
    return r.load("i32", result)


def _pivot(
    r: Routine, library: _Library, factors: str, pivots: str, n: str, i: str
) -> tuple[str, str]:
    """Return the sign of interchange i (1.0 or -1.0) and the diagonal element."""
    row = r.emit(f"sext i32 {r.load('i32', pivots, i)} to i64")
    stayed = r.compare("eq", row, r.binary("add", i, "1"))
    sign = r.select(stayed, "1.0", "-1.0", library.scalar)
    return sign, r.load(library.scalar, factors, library.at(i, n, i))


def _cholesky(r: Routine, library: _Library) -> None:
    """Write potrf on the upper triangle that LAPACK sees, which leaves our zeros alone."""
    a, factor = r.pointer(0), r.pointer(1)
    batch, n = r.size(0), r.size(1)
    r.stop_when(r.compare("sle", n, "0"), 0)
    elements = r.binary("mul", n, n)
    with r.loop(batch) as index:
        start = r.binary("mul", index, elements)
        source, target = library.offset(a, start), library.offset(factor, start)
        with r.loop(n) as i:
            line, filled = r.binary("mul", i, n), r.binary("add", i, "1")
            row = library.offset(target, line)
            library.copy(filled, library.offset(source, line), row)
            with r.loop(r.binary("sub", n, filled)) as j:
                r.store(library.scalar, "0.0", row, r.binary("add", filled, j))
        order = r.integer(n)
        info = library.lapack("potrf", r.character("U"), order, target, order)
        r.stop_when(r.compare("sgt", info, "0", "i32"), NOT_POSITIVE_DEFINITE)


def _triangular_solve(r: Routine, library: _Library) -> None:
    """Write X op(M) = B, or op(M) X = B, in BLAS's eyes; one vector goes to trsv."""
    a, b, x = (r.pointer(i) for i in range(3))
    batch, n, nrhs, lower, transposed, right = (r.size(i) for i in range(6))
    r.stop_when(r.compare("sle", r.binary("mul", n, nrhs), "0"), 0)
    elements, values = r.binary("mul", n, n), r.binary("mul", n, nrhs)
    flip, on_right = r.compare("ne", transposed, "0"), r.compare("ne", right, "0")
    on_left = r.binary("xor", on_right, "true", "i1")
    uplo = _letter(r, r.compare("ne", lower, "0"), "U", "L")
    trans, opposite = _letter(r, flip, "T", "N"), _letter(r, flip, "N", "T")
    of_vector = r.emit(f"select i1 {on_right}, ptr {trans}, ptr {opposite}")
    general = r.character("N")
    with r.loop(batch) as index:
        matrix = library.offset(a, r.binary("mul", index, elements))
        library.stop_on_zero_diagonal(n, matrix)
        start = r.binary("mul", index, values)
        target = library.offset(x, start)
        library.copy(values, library.offset(b, start), target)
        with r.when(r.compare("eq", nrhs, "1")):
            order, one = r.integer(n), r.integer("1")
            library.blas("trsv", uplo, of_vector, general, order, matrix, order, target, one)
        with r.when(r.compare("sgt", nrhs, "1")):
            with r.when(on_left):
                library.triangular("R", uplo, trans, general, (nrhs, n), matrix, target)
            with r.when(on_right):
                library.triangular("L", uplo, trans, general, (n, nrhs), matrix, target)
