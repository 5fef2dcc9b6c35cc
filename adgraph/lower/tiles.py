"""Matrix products as loops over tiles of the result that stay in registers, without calls of BLAS.

A tile is a few rows of the result by one or two vectors of columns, summed over the inner axis. A
column of tiles, a panel, takes its part of the right operand from the stack, where it is copied
block by block, or directly where there are few rows. Very small extents are constants of the text.
Begin with `tile_for`, which chooses a kernel or leaves a product to BLAS, and `product`.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from adgraph.lower import native
from adgraph.lower.kernel import ModuleSource, compile_modules
from adgraph.lower.routine import Routine

SCALARS = {"f8": "double", "f4": "float"}
BYTES = {"f8": 8, "f4": 4}
MOST_ROWS = {64: 8, 32: 6, 16: 6}  # of a tile, by the bytes of a vector
MOST_VECTORS = 2
UNROLLED = 8  # the largest inner extent that is a constant
BLOCK = 128  # of the inner axis; a panel of it is 16 KiB and stays in the first cache
ROWS_BLOCK = 256  # what is read of the left operand meanwhile stays in the second cache
MIRRORED = 8  # elements of a row that are mirrored at once, from one column
FEW_ROWS = 16  # up to which the right operand is read where it is
TINY = 512  # multiplications of a product with a vector from which on BLAS is faster
ALONE, AMONG = 2**26, 2**20  # from which on BLAS is, where it has one thread, or several
SHORT = 2**15  # and where vectors are short, so that BLAS's own code is better


@dataclass(frozen=True)
class Tile:
    """What a kernel is made for: a tile is `rows` by `vectors`.

    `columns` and `inner` are extents of the product, or 0 if only known when running. `turned` says
    that neighbours of the right operand's elements are in its columns; `copied` that panels of it
    are copied, in whichever order it is. A `symmetric` product, of a matrix and its transpose, is
    computed below the diagonal and mirrored. Operands may have any strides.
    """

    dtype: str
    rows: int
    vectors: int
    columns: int = 0
    inner: int = 0
    turned: bool = False
    copied: bool = False
    symmetric: bool = False

    @property
    def name(self) -> str:
        """Return what distinguishes the kernel's symbol."""
        numbers = f"{self.rows}x{self.vectors}_{self.columns}_{self.inner}"
        flags = "t" * self.turned + "c" * self.copied + "s" * self.symmetric
        return f"product_{numbers}_{flags}_{self.dtype}"


@functools.cache
def vector_bytes() -> int:
    """Return the size of this CPU's vectors."""
    features = native.cpu_features().split(",")
    return 64 if "+avx512f" in features else 32 if "+avx2" in features else 16


@functools.cache
def library_threads() -> int:
    """Return how many threads OpenBLAS starts with."""
    for name in ("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"):
        if os.environ.get(name, "").isdigit():
            return max(1, int(os.environ[name]))
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def tile_for(
    dtype: str, m: int, n: int, k: int, *, turned: bool, symmetric: bool = False
) -> Tile | None:
    """Choose the kernel of a product of an m by k and a k by n matrix; None leaves it to BLAS."""
    work = m * n * k
    most = ALONE if library_threads() == 1 else AMONG
    if min(m, n) == 1:
        most = TINY
    elif vector_bytes() == 16:
        most = SHORT
    if dtype not in SCALARS or work > most:
        return None
    vectors = -(-n * BYTES[dtype] // vector_bytes())
    rows, width = MOST_ROWS[vector_bytes()], min(max(vectors, 1), MOST_VECTORS)
    if 0 < m <= FEW_ROWS:
        rows = -(-m // -(-m // rows))
    if 0 < k <= UNROLLED and 0 < vectors <= MOST_VECTORS:
        return Tile(dtype, rows, width, n, k, turned)
    if m > FEW_ROWS:
        return Tile(dtype, rows, width, copied=True, symmetric=symmetric)
    return Tile(dtype, rows, width, copied=turned)


@functools.cache
def product(tile: Tile) -> int:
    """Return the kernel C = A @ B, or C = S + A @ B.

    Its operands are those of `blas.matmul`, and: a pointer to S, which is laid out as C and may be
    C, and a size, 1 if S is added, else 0.
    """
    symbol = f"adgraph_{tile.name}"
    (address,) = compile_modules([ModuleSource(symbol, text(tile, symbol))])
    return address


def text(tile: Tile, symbol: str) -> str:
    """Return the kernel as IR text."""
    routine = Routine(symbol, loops_as_written=True)
    _Writer(routine, tile).write()
    return routine.text()


def mirror(r: Routine, scalar: str, n: str, c: str, row_c: str) -> None:
    """Write loops that copy what is below a diagonal above it, a few elements of a row at once."""
    blocks = r.binary("udiv", r.binary("add", n, str(MIRRORED - 1)), str(MIRRORED))
    with r.loop(blocks) as block:
        first = r.binary("mul nsw", block, str(MIRRORED))
        end = r.binary("add", first, str(MIRRORED))
        end = r.select(r.compare("slt", end, n), end, n)
        with r.loop(end) as j, r.loop(r.binary("sub", end, first)) as lane:
            i = r.binary("add", first, lane)
            with r.when(r.compare("sgt", i, j)):
                below = r.binary("add", r.binary("mul nsw", i, row_c), j)
                above = r.binary("add", r.binary("mul nsw", j, row_c), i)
                r.store(scalar, r.load(scalar, c, below), c, above)


class _Writer:
    """Writes one kernel; sums are slots of the stack, which LLVM keeps in registers."""

    def __init__(self, routine: Routine, tile: Tile) -> None:
        self.r = routine
        self.tile = tile
        self.scalar = SCALARS[tile.dtype]
        self.bytes = BYTES[tile.dtype]
        self.lanes = vector_bytes() // self.bytes
        self.kind = f"<{self.lanes} x {self.scalar}>"
        self.bits = f"<{self.lanes} x i1>"
        self.suffix = f"v{self.lanes}f{8 * self.bytes}"
        self.vectors = range(tile.vectors)
        self.width = tile.vectors * self.lanes  # columns of a panel
        self.sums = [[routine.slot(self.kind) for _ in self.vectors] for _ in range(tile.rows)]
        elements = BLOCK * self.width
        self.panel = routine.slot(f"[{elements} x {self.scalar}], align 64") if tile.copied else ""

    def write(self) -> None:
        r, tile = self.r, self.tile
        pointers = [r.pointer(i) for i in range(4)]
        batch, self.m, self.n, self.k, *strides = (r.size(i) for i in range(9))
        steps = [*(r.size(i) for i in range(9, 12)), r.size(11)]
        self.adds = r.compare("ne", r.size(12), "0")
        self.row_a, self.column_a, self.row_b, self.column_b, self.row_c = strides
        self.first_row, self.least_row, self.end_row = "0", "0", self.m
        r.stop_when(r.compare("sle", self.m, "0"), 0)
        with r.loop(batch) as index:
            a, b, c, s = (
                self.at(pointer, r.binary("mul", index, step))
                for pointer, step in zip(pointers, steps, strict=True)
            )
            if tile.copied:
                with self.blocks() as (first, count), self.panels() as column:
                    panel = self.column_of(b, column), self.at(c, column), self.at(s, column)
                    self.copied(a, *panel, first, count)
                if tile.symmetric:
                    mirror(r, self.scalar, self.m, c, self.row_c)
            else:
                with self.panels() as column:
                    write = self.unrolled if tile.inner else self.streamed
                    write(a, self.column_of(b, column), self.at(c, column), self.at(s, column))

    def column_of(self, b: str, column: str) -> str:
        return self.at(b, self.r.binary("mul nsw", column, self.column_b))

    # --- loops ------------------------------------------------------------------------------------

    @contextmanager
    def blocks(self) -> Iterator[tuple[str, str]]:
        """Write loops over blocks of rows and of the inner axis; yields the latter's extent.

        An empty inner axis is one empty block.
        """
        r = self.r
        with r.loop(self.parts(self.m, ROWS_BLOCK)) as block:
            self.first_row = r.binary("mul nsw", block, str(ROWS_BLOCK))
            self.end_row = self.least(r.binary("add", self.first_row, str(ROWS_BLOCK)), self.m)
            with r.loop(r.at_least(self.parts(self.k, BLOCK), "1")) as inner:
                first = r.binary("mul nsw", inner, str(BLOCK))
                yield first, self.least(r.binary("sub", self.k, first), str(BLOCK))

    @contextmanager
    def panels(self) -> Iterator[str]:
        """Write a loop over panels; yields the first column."""
        r = self.r
        if self.tile.columns:
            self.masks = [self.constant_mask(v) for v in self.vectors]
            yield "0"
            return
        with r.loop(self.parts(self.n, self.width)) as panel:
            first = r.binary("mul nsw", panel, str(self.width))
            self.rest = r.binary("sub", self.n, first)
            self.masks = [self.running_mask(v) for v in self.vectors]
            self.least_row = first if self.tile.symmetric else "0"
            yield first

    @contextmanager
    def tiles(self) -> Iterator[list[str]]:
        """Write a loop over tiles; yields their rows: what exceeds the last row repeats it."""
        r, rows = self.r, self.tile.rows
        last = r.binary("sub", self.end_row, "1")
        begin = (
            r.at_least(self.first_row, self.least_row) if self.tile.symmetric else self.first_row
        )
        extent = r.at_least(r.binary("sub", self.end_row, begin), "0")
        with r.loop(self.parts(extent, rows)) as tile:
            first = r.binary("add nsw", begin, r.binary("mul nsw", tile, str(rows)))
            lines = [r.binary("add nsw", first, str(i)) for i in range(rows)]
            yield [self.least(line, last) for line in lines]

    def least(self, a: str, b: str) -> str:
        return self.r.select(self.r.compare("slt", a, b), a, b)

    def parts(self, extent: str, size: int) -> str:
        """Return how many parts of a size cover an extent."""
        return self.r.binary("udiv", self.r.binary("add", extent, str(size - 1)), str(size))

    # --- the right operand ------------------------------------------------------------------------

    def unrolled(self, a: str, b: str, c: str, s: str) -> None:
        """Hold the right operand in registers."""
        right = [self.row_of(b, k) for k in range(self.tile.inner)]
        with self.tiles() as lines:
            left = self.starts(a, lines, self.row_a)
            self.begin(s, lines, self.adds)
            for k, vectors in enumerate(right):
                at = self.r.binary("mul nsw", self.column_a, str(k))
                self.add([self.at(start, at) for start in left], vectors)
            self.finish(c, lines)

    def row_of(self, b: str, k: int) -> list[str]:
        if self.tile.turned:
            return [self.gathered(b, k, v) for v in self.vectors]
        start = self.at(b, self.r.binary("mul", self.row_b, str(k)))
        return [self.load(start, v) for v in self.vectors]

    def gathered(self, b: str, k: int, v: int) -> str:
        """Return a vector of elements that are not neighbours."""
        r = self.r
        vector = "zeroinitializer"
        for lane in range(self.filled(v)):
            column = r.binary("mul", self.column_b, str(v * self.lanes + lane))
            row = r.binary("mul", self.row_b, str(k))
            element = r.load(self.scalar, b, r.binary("add", column, row))
            new = f"{self.kind} {vector}, {self.scalar} {element}, i64 {lane}"
            vector = r.emit(f"insertelement {new}")
        return vector

    def streamed(self, a: str, b: str, c: str, s: str) -> None:
        """Read the right operand where it is, once for each tile."""
        with self.tiles() as lines:
            self.begin(s, lines, self.adds)
            with self.inner_loop(self.starts(a, lines, self.row_a), b, self.k, self.row_b) as at:
                *left, right = at
                self.add(left, [self.load(right, v) for v in self.vectors])
            self.finish(c, lines)

    def copied(self, a: str, b: str, c: str, s: str, first: str, count: str) -> None:
        """Copy a block of the panel, then use it for all rows."""
        r = self.r
        start = self.at(b, r.binary("mul nsw", first, self.row_b))
        by_rows = r.compare("eq", self.column_b, "1")
        with r.when(by_rows):
            self.copy_rows(start, count)
        with r.when(r.binary("xor", by_rows, "true", "i1")):
            self.copy_columns(start, count)
        later = r.compare("sgt", first, "0")
        adds = r.binary("or", self.adds, later, "i1")
        so_far = r.select(later, c, s, "ptr")
        part = self.at(a, r.binary("mul nsw", first, self.column_a))
        with self.tiles() as lines:
            self.begin(so_far, lines, adds)
            starts = self.starts(part, lines, self.row_a)
            with self.inner_loop(starts, self.panel, count, str(self.width)) as at:
                *left, right = at
                self.add(left, [self.load_whole(right, v) for v in self.vectors])
            self.finish(c, lines)

    def copy_rows(self, b: str, count: str) -> None:
        r = self.r
        with r.loop(count) as k:
            start = self.at(b, r.binary("mul nsw", k, self.row_b))
            target = self.at(self.panel, r.binary("mul nsw", k, str(self.width)))
            for v in self.vectors:
                to = self.at(target, str(v * self.lanes))
                r.do(f"store {self.kind} {self.load(start, v)}, ptr {to}, align {self.bytes}")

    def copy_columns(self, b: str, count: str) -> None:
        """Turn columns into rows; what exceeds the last column repeats it."""
        r = self.r
        last = r.binary("sub", self.rest, "1")
        with r.loop(str(self.width)) as j:
            column = self.at(b, r.binary("mul nsw", self.least(j, last), self.column_b))
            target = self.at(self.panel, j)
            with r.loop(count) as k:
                element = r.load(self.scalar, column, r.binary("mul nsw", k, self.row_b))
                r.store(self.scalar, element, target, r.binary("mul nsw", k, str(self.width)))

    @contextmanager
    def inner_loop(
        self, left: list[str], right: str, count: str, stride: str
    ) -> Iterator[list[str]]:
        """Write the loop over the inner axis; yields where its elements are.

        Addresses are advanced by hand: LLVM would search for long how to do it.
        """
        r = self.r
        steps = [*(self.column_a for _ in left), stride]
        slots = [r.by_reference("ptr", start) for start in (*left, right)]
        with r.loop(count):
            at = [r.emit(f"load ptr, ptr {slot}") for slot in slots]
            yield at
            for slot, pointer, step in zip(slots, at, steps, strict=True):
                r.do(f"store ptr {self.at(pointer, step)}, ptr {slot}")

    # --- tiles ------------------------------------------------------------------------------------

    def starts(self, pointer: str, lines: list[str], stride: str) -> list[str]:
        """Return the addresses of rows."""
        return [self.at(pointer, self.r.binary("mul nsw", line, stride)) for line in lines]

    def begin(self, so_far: str, lines: list[str], adds: str) -> None:
        """Start the sums with zeros, or with those so far, which are read only then."""
        for slot in (slot for sums in self.sums for slot in sums):
            self.r.do(f"store {self.kind} zeroinitializer, ptr {slot}")
        with self.r.when(adds):
            for start, sums in zip(self.starts(so_far, lines, self.row_c), self.sums, strict=True):
                for v, slot in enumerate(sums):
                    self.r.do(f"store {self.kind} {self.load(start, v)}, ptr {slot}")

    def finish(self, c: str, lines: list[str]) -> None:
        for start, sums in zip(self.starts(c, lines, self.row_c), self.sums, strict=True):
            for v, slot in enumerate(sums):
                self.store(start, v, self.r.emit(f"load {self.kind}, ptr {slot}"))

    def add(self, left: list[str], right: list[str]) -> None:
        """Add the product of a column, given by addresses, and a row to the sums."""
        r = self.r
        for address, sums in zip(left, self.sums, strict=True):
            factor = self.everywhere(r.emit(f"load {self.scalar}, ptr {address}"))
            for slot, vector in zip(sums, right, strict=True):
                total = r.emit(f"load {self.kind}, ptr {slot}")
                factors = [(self.kind, x) for x in (factor, vector, total)]
                total = r.call(self.kind, f"llvm.fmuladd.{self.suffix}", factors)
                r.do(f"store {self.kind} {total}, ptr {slot}")

    def everywhere(self, element: str) -> str:
        """Return a vector of one number."""
        one = self.r.emit(f"insertelement {self.kind} poison, {self.scalar} {element}, i64 0")
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        return self.r.emit(f"shufflevector {self.kind} {one}, {self.kind} poison, {zeros}")

    # --- vectors in memory ------------------------------------------------------------------------

    def at(self, pointer: str, index: str) -> str:
        return self.r.offset(self.scalar, pointer, index)

    def filled(self, v: int) -> int:
        return min(self.lanes, self.tile.columns - v * self.lanes)

    def constant_mask(self, v: int) -> str:
        """Return which lanes are columns, "" for all."""
        if self.filled(v) == self.lanes:
            return ""
        return f"<{', '.join(f'i1 {int(i < self.filled(v))}' for i in range(self.lanes))}>"

    def running_mask(self, v: int) -> str:
        r = self.r
        kind = f"<{self.lanes} x i64>"
        one = r.emit(f"insertelement {kind} poison, i64 {self.rest}, i64 0")
        zeros = f"<{self.lanes} x i32> zeroinitializer"
        rest = r.emit(f"shufflevector {kind} {one}, {kind} poison, {zeros}")
        columns = ", ".join(f"i64 {v * self.lanes + i}" for i in range(self.lanes))
        return r.emit(f"icmp slt {kind} <{columns}>, {rest}")

    def load_whole(self, start: str, v: int) -> str:
        address = self.at(start, str(v * self.lanes))
        return self.r.emit(f"load {self.kind}, ptr {address}, align {self.bytes}")

    def load(self, start: str, v: int) -> str:
        if not self.masks[v]:
            return self.load_whole(start, v)
        address = self.at(start, str(v * self.lanes))
        operands = [("ptr", address), ("i32", str(self.bytes))]
        operands += [(self.bits, self.masks[v]), (self.kind, "zeroinitializer")]
        return self.r.call(self.kind, f"llvm.masked.load.{self.suffix}.p0", operands)

    def store(self, start: str, v: int, value: str) -> None:
        address = self.at(start, str(v * self.lanes))
        if not self.masks[v]:
            self.r.do(f"store {self.kind} {value}, ptr {address}, align {self.bytes}")
            return
        operands = [(self.kind, value), ("ptr", address), ("i32", str(self.bytes))]
        operands += [(self.bits, self.masks[v])]
        self.r.call("void", f"llvm.masked.store.{self.suffix}.p0", operands)
