"""Kernels that call LAPACK: factorizations and solves, in the uniform ABI and row-major.

Like those of `blas`, which says how; each public function returns the address of a kernel, its
docstring lists pointers and sizes. All but the determinants exist for complex matrices (`c16`,
`c8`) too, whose elements are pairs.
"""

from __future__ import annotations

import functools

from adgraph.lower.blas import SINGULAR, Library, compiled, letter
from adgraph.lower.routine import Routine
from adgraph.ops.decompositions import QR_BLOCK
from adgraph.ops.solves import INV_BLOCK

NOT_POSITIVE_DEFINITE = 2
LARGE = 3.0e38  # of numbers of any width; the scale of larger ones would be 0


@functools.cache
def inv(dtype: str) -> int:
    """Return the kernel X = A^-1; status 1 where A is exactly singular.

    Pointers: A, X, scratch of INV_BLOCK * max(n, 1) elements, int32 scratch of n. Sizes: batch, n.
    """
    return compiled("inv", dtype, _inv)


@functools.cache
def lu(dtype: str) -> int:
    """Return the kernel that factors A^T = P L U, which is A in LAPACK's eyes.

    Pointers: A, packed (LU)^T, int32 pivots (from 0, n a matrix). Sizes: batch, n. A singular A is
    no error.
    """
    return compiled("lu", dtype, _lu)


@functools.cache
def lu_solve(dtype: str) -> int:
    """Return the kernel X = A^-1 B (A^-T B) from the results of `lu`; status 1 on a zero pivot.

    Pointers: A (not read), packed (LU)^T, int32 pivots, B, X. Sizes: batch, n, nrhs, transposed
    (0 or 1).
    """
    return compiled("lu_solve", dtype, _lu_solve)


@functools.cache
def det(dtype: str) -> int:
    """Return the kernel of determinants; those of singular matrices are 0.

    Pointers: A, determinants, scratch of n * n elements, int32 scratch of n. Sizes: batch, n.
    """
    return compiled("det", dtype, _det)


@functools.cache
def slogdet(dtype: str) -> int:
    """Return the kernel of signs and logarithms of determinants; (0, -inf) where singular.

    Pointers: A, signs, logarithms, scratch of n * n elements, int32 scratch of n. Sizes: batch, n.
    """
    return compiled("slogdet", dtype, _slogdet)


@functools.cache
def cholesky(dtype: str) -> int:
    """Return the kernel of lower factors, A = L L^T; status 2 where A is not positive definite.

    Only the lower triangle of A is read. Pointers: A, L. Sizes: batch, n.
    """
    return compiled("cholesky", dtype, _cholesky)


@functools.cache
def qr(dtype: str) -> int:
    """Return the kernel A = Q R; the diagonal of R is real.

    Pointers: A, Q, R, scratch of m * n, of min(m, n) and of QR_BLOCK * max(m, n, 1) elements.
    Sizes: batch, m, n, the number of columns of Q, which is min(m, n) or m.
    """
    return compiled("qr", dtype, _qr)


@functools.cache
def qr_raw(dtype: str) -> int:
    """Return the kernel that leaves reflectors and R in the place of A, which is A^T to LAPACK.

    Pointers: A, packed result, factors of reflectors, scratch of QR_BLOCK * max(m, n, 1) elements.
    Sizes: batch, m, n.
    """
    return compiled("qr_raw", dtype, _qr_raw)


@functools.cache
def expm(dtype: str) -> int:
    """Return the kernel X = exp(A).

    Pointers: A, X, scratch of 6 * n * n elements, int32 scratch of n. Sizes: batch, n.
    """
    return compiled("expm", dtype, _expm)


@functools.cache
def triangular_solve(dtype: str) -> int:
    """Return the kernel that solves op(A) X = B, or X op(A) = B, with triangular A.

    Only the named triangle is read; status 1 on a zero diagonal. Pointers: A, B, X. Sizes: batch,
    n, the other extent of B, then 0 or 1 for: lower, transposed, right (the second form).
    """
    return compiled("triangular_solve", dtype, _triangular_solve)


def _swap_rows(
    r: Routine, library: Library, n: str, nrhs: str, pivots: str, x: str, *, backward: bool
) -> None:
    """Exchange rows as pivots say."""
    with r.loop(n) as step:
        last = r.binary("sub", n, "1")
        row = r.binary("sub", last, step) if backward else step
        other = r.emit(f"sext i32 {r.load('i32', pivots, row)} to i64")
        with r.when(r.compare("ne", row, other)), r.loop(nrhs) as column:
            library.swap(x, library.at(row, nrhs, column), library.at(other, nrhs, column))


def _inv(r: Routine, library: Library) -> None:
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


def _lu(r: Routine, library: Library) -> None:
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


def _lu_solve(r: Routine, library: Library) -> None:
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
    library: Library,
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


def _det(r: Routine, library: Library) -> None:
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


def _slogdet(r: Routine, library: Library) -> None:
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
    r: Routine, library: Library, a: str, factors: str, pivots: str, n: str, index: str
) -> str:
    """Factor a copy of matrix `index`; return info, 0 for empty matrices."""
    elements = r.binary("mul", n, n)
    result = r.by_reference("i32", "0")
    with r.when(r.compare("sgt", n, "0")):
        library.copy(elements, library.offset(a, r.binary("mul", index, elements)), factors)
        r.store("i32", library.factor(n, factors, pivots), result)
    return r.load("i32", result)


def _pivot(
    r: Routine, library: Library, factors: str, pivots: str, n: str, i: str
) -> tuple[str, str]:
    """Return the sign of interchange i (1.0 or -1.0) and the diagonal element."""
    row = r.emit(f"sext i32 {r.load('i32', pivots, i)} to i64")
    stayed = r.compare("eq", row, r.binary("add", i, "1"))
    sign = r.select(stayed, "1.0", "-1.0", library.scalar)
    return sign, r.load(library.scalar, factors, library.at(i, n, i))


def _cholesky(r: Routine, library: Library) -> None:
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
                r.store(library.scalar, library.literal(0.0), row, r.binary("add", filled, j))
        order = r.integer(n)
        info = library.lapack("potrf", r.character("U"), order, target, order)
        r.stop_when(r.compare("sgt", info, "0", "i32"), NOT_POSITIVE_DEFINITE)


def _triangular_solve(r: Routine, library: Library) -> None:
    """Write X op(M) = B, or op(M) X = B, in BLAS's eyes; one vector goes to trsv."""
    a, b, x = (r.pointer(i) for i in range(3))
    batch, n, nrhs, lower, transposed, right = (r.size(i) for i in range(6))
    r.stop_when(r.compare("sle", r.binary("mul", n, nrhs), "0"), 0)
    elements, values = r.binary("mul", n, n), r.binary("mul", n, nrhs)
    flip, on_right = r.compare("ne", transposed, "0"), r.compare("ne", right, "0")
    on_left = r.binary("xor", on_right, "true", "i1")
    uplo = letter(r, r.compare("ne", lower, "0"), "U", "L")
    trans, opposite = letter(r, flip, "T", "N"), letter(r, flip, "N", "T")
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


def _qr_raw(r: Routine, library: Library) -> None:
    a, packed, tau, work = (r.pointer(i) for i in range(4))
    batch, m, n = (r.size(i) for i in range(3))
    elements, shared = r.binary("mul", m, n), r.at_most(m, n)
    r.stop_when(r.compare("sle", elements, "0"), 0)
    with r.loop(batch) as index:
        start = r.binary("mul", index, elements)
        target = library.offset(packed, start)
        library.copy(elements, library.offset(a, start), target)
        factors = library.offset(tau, r.binary("mul", index, shared))
        _reflect(r, library, (m, n), target, factors, work)


def _reflect(
    r: Routine, library: Library, extents: tuple[str, str], matrix: str, tau: str, work: str
) -> None:
    """Call gelqf: LAPACK sees A^T = R^T Q^T, whose rows are the columns of Q."""
    m, n = extents
    length = r.integer(r.binary("mul", r.at_least(r.at_least(m, n), "1"), str(QR_BLOCK)))
    leading = r.integer(r.at_least(n, "1"))
    library.lapack("gelqf", r.integer(n), r.integer(m), matrix, leading, tau, work, length)


def _qr(r: Routine, library: Library) -> None:
    """Copy R from what `_reflect` leaves, and have LAPACK multiply the reflectors."""
    a, q, upper, packed, tau, work = (r.pointer(i) for i in range(6))
    batch, m, n, columns = (r.size(i) for i in range(4))
    elements, shared = r.binary("mul", m, n), r.at_most(m, n)
    leading = r.integer(r.at_least(columns, "1"))
    rows, reflectors = r.integer(m), r.integer(shared)
    length = r.integer(r.binary("mul", r.at_least(r.at_least(m, n), "1"), str(QR_BLOCK)))
    generate = "unglq" if library.pairs else "orglq"
    r.stop_when(r.compare("sle", m, "0"), 0)
    with r.loop(batch) as index:
        library.copy(elements, library.offset(a, r.binary("mul", index, elements)), packed)
        _reflect(r, library, (m, n), packed, tau, work)
        size = r.binary("mul", m, columns)
        target = library.offset(q, r.binary("mul", index, size))
        with r.loop(m) as i, r.loop(shared) as j:
            value = r.load(library.scalar, packed, library.at(i, n, j))
            r.store(library.scalar, value, target, library.at(i, columns, j))
        wide = r.integer(columns)
        library.lapack(generate, wide, rows, reflectors, target, leading, tau, work, length)
        size = r.binary("mul", columns, n)
        target = library.offset(upper, r.binary("mul", index, size))
        with r.loop(columns) as i, r.loop(n) as j:
            value = r.load(library.scalar, packed, library.at(i, n, j))
            inside = r.compare("sle", i, j)
            kept = r.select(inside, value, library.literal(0.0), library.scalar)
            r.store(library.scalar, kept, target, library.at(i, n, j))


# Higham, The Scaling and Squaring Method for the Matrix Exponential Revisited (2005): the Pade
# approximant of degree 13 is exact to rounding for norms below `PADE_NORM`.
PADE_NORM = 5.371920351148152
PADE = (
    *(64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0),
    *(129060195264000.0, 10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0),
    *(40840800.0, 960960.0, 16380.0, 182.0, 1.0),
)


def _expm(r: Routine, library: Library) -> None:
    """Write the exponential of A^T, which is what BLAS sees, and the transpose of that of A."""
    a, exponential, room, pivots = (r.pointer(i) for i in range(4))
    batch, n = r.size(0), r.size(1)
    elements = r.binary("mul", n, n)
    x, odd, sum, *even = (library.offset(room, r.binary("mul", elements, str(i))) for i in range(6))
    r.stop_when(r.compare("sle", n, "0"), 0)
    with r.loop(batch) as index:
        start = r.binary("mul", index, elements)
        source, y = library.offset(a, start), library.offset(exponential, start)
        squarings, scale = _scaling(r, library, elements, source, n)
        _combine(library, elements, x, [(scale, source)])
        for power, factor in zip(even, (x, even[0], even[1]), strict=True):
            library.square_product(n, factor, x if factor is x else even[0], power)
        _polynomial(library, n, PADE[1::2], even, (y, sum))
        library.square_product(n, x, y, odd)
        _polynomial(library, n, PADE[0::2], even, (y, sum))
        one, minus = library.real(1.0), library.real(-1.0)
        _combine(library, elements, sum, [(one, y), (minus, odd)])
        _combine(library, elements, y, [(one, y), (one, odd)])
        order = r.integer(n)
        r.stop_when(r.compare("sgt", library.factor(n, sum, pivots), "0", "i32"), SINGULAR)
        library.lapack("getrs", r.character("N"), order, order, sum, order, pivots, y, order)
        with r.loop(squarings):
            library.square_product(n, y, y, sum)
            library.copy(elements, sum, y)


def _scaling(r: Routine, library: Library, elements: str, source: str, n: str) -> tuple[str, str]:
    """Return how often to halve a matrix to make its norm small, and the factor."""
    part, suffix = library.part, library.suffix
    largest, total = r.slot(part), r.slot(part)
    r.store(part, "0.0", largest)
    row = r.binary("mul", n, str(library.width))
    with r.loop(n) as i:
        r.store(part, "0.0", total)
        first = r.offset(part, source, r.binary("mul", i, row))
        with r.loop(row) as j:
            size = r.call(part, f"llvm.fabs.{suffix}", [(part, r.load(part, first, j))])
            r.store(part, r.binary("fadd", r.load(part, total), size, part), total)
        so_far, found = r.load(part, largest), r.load(part, total)
        more = r.emit(f"fcmp ogt {part} {found}, {so_far}")
        r.store(part, r.select(more, found, so_far, part), largest)
    share = r.binary("fmul", r.load(part, largest), library.real(1.0 / PADE_NORM), part)
    finite = r.emit(f"fcmp olt {part} {share}, {library.real(LARGE)}")
    split = r.call(f"{{{part}, i32}}", f"llvm.frexp.{suffix}.i32", [(part, share)])
    exponent = r.emit(f"sext i32 {r.emit(f'extractvalue {{{part}, i32}} {split}, 1')} to i64")
    count = r.at_least(r.select(finite, exponent, "0"), "0")
    shift = r.emit(f"trunc i64 {r.binary('sub', '0', count)} to i32")
    scale = r.call(part, f"llvm.ldexp.{suffix}.i32", [(part, library.real(1.0)), ("i32", shift)])
    return count, scale


def _polynomial(
    library: Library,
    n: str,
    coefficients: tuple[float, ...],
    even: list[str],
    room: tuple[str, str],
) -> None:
    """Write the sum of c[i] X**(2 i) into the first of two matrices; `even` has X**2, 4 and 6."""
    r = library.routine
    total, high = room
    elements = r.binary("mul", n, n)
    constant, *low = map(library.real, coefficients)
    _combine(library, elements, high, list(zip(low[3:], even, strict=True)))
    library.square_product(n, even[2], high, total)
    _combine(library, elements, total, [(library.real(1.0), total), *zip(low, even, strict=False)])
    with r.loop(n) as i:
        at = r.binary("mul", library.at(i, n, i), str(library.width))
        r.store(
            library.part,
            r.binary("fadd", r.load(library.part, total, at), constant, library.part),
            total,
            at,
        )


def _combine(library: Library, elements: str, target: str, terms: list[tuple[str, str]]) -> None:
    """Write a sum of multiples of matrices by real numbers."""
    r, part = library.routine, library.part
    with r.loop(r.binary("mul", elements, str(library.width))) as i:
        products = [r.binary("fmul", c, r.load(part, p, i), part) for c, p in terms]
        total, *others = products
        for product in others:
            total = r.binary("fadd", total, product, part)
        r.store(part, total, target, i)
