"""Run a lowered program on arrays.

A `Compiled` holds a program and a pool of arenas; a call takes an arena from the pool, so threads
may run one program at once. Outputs are fresh arrays, nothing else is allocated.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from adgraph.errors import ArenaError, AxisIndexError, CapacityError, ShapeError, message
from adgraph.ir.code import Loops
from adgraph.ir.dims import Dim
from adgraph.ir.graph import Node
from adgraph.lower.driver import driver, failure, gather
from adgraph.lower.functions import Body, Value, compile_function, native
from adgraph.lower.program import Program
from adgraph.ops.control import FIRST_MARK, MARKS
from adgraph.ops.reduction import nothing_selected
from adgraph.runtime.arena import Arena, Array, address, new_arena
from adgraph.runtime.guarded import run_guarded, wants_guards
from adgraph.runtime.recycling import array_maker, new_arrays

SINGULAR, NOT_POSITIVE, OUT_OF_BOUNDS, EMPTY, FAILED = 1, 2, 3, 5, 6


class Compiled:
    """A program ready to be called with one array per input."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.guarded = wants_guards()
        self._words = address(program.words)
        self._pool: list[Arena] = []
        self._lent: list[tuple[Arena, int]] = []  # to native ways; where these say they use it
        self._outgrown = 0  # the code of a native call whose loop did
        self._is_new = True
        self._count = len(program.graph.inputs) + len(program.graph.outputs)
        self._objects: Callable[..., Any] = ctypes.py_object * self._count

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Run on C-contiguous arrays of exactly the input types."""
        if self._outgrown:
            raise self.error(self._outgrown)
        outputs, code = run_guarded(self.program, arrays) if self.guarded else self._run(arrays)
        if code:
            raise self.error(code)
        return outputs

    def _run(self, arrays: Sequence[Array]) -> tuple[list[Array], int]:
        arena = self.take_arena()
        outputs = self._new_outputs()
        objects = self._objects(*arrays, *outputs)
        gather()(objects, self._count, arena.first_address)
        code = driver()(self._words, arena.sources_address, arena.scratch_address)
        self._pool.append(arena)
        return outputs, code

    def _new_outputs(self) -> list[Array]:
        """Make arrays for the results; code to use their memory again is for what runs again."""
        first, self._is_new = self._is_new, False
        return new_arrays(self.program.results) if first else self._recycled_arrays()

    @functools.cached_property
    def _recycled_arrays(self) -> Callable[[], list[Array]]:
        return array_maker(self.program.results)

    def take_arena(self) -> Arena:
        """Take an arena from the pool; another thread may have taken the last one."""
        try:
            return self._pool.pop()
        except IndexError:
            return _new_arena(self.program)

    def lend(self, busy: int) -> Arena:
        """Give an arena to a native way, which has a word there that is 1 while a call uses it."""
        arena = self.take_arena()
        self._lent.append((arena, busy))
        return arena

    def retire(self) -> None:
        """Free the arenas that no call is using, for a program that takes the place of this one."""
        self._pool.clear()
        for arena, busy in self._lent:
            if not seize()(busy):
                arena.memory = arena.memory[:0].copy()

    def fail(self, code: int) -> None:
        """Raise what a code of the driver means, unless a program with more room may succeed."""
        error = self.error(code)
        if not isinstance(error, CapacityError):
            raise error
        self._outgrown = code

    def error(self, code: int) -> Exception:
        """Return what a code of the driver means, at the user's line."""
        failed = failure(code)
        assert failed is not None
        location = self.program.origin_of(failed.step)
        node = self.program.calls[failed.step].node
        if failed.status == SINGULAR:
            return np.linalg.LinAlgError(message("a matrix is singular", at=location))
        if failed.status == NOT_POSITIVE:
            return np.linalg.LinAlgError(message("a matrix is not positive definite", at=location))
        if failed.status == OUT_OF_BOUNDS:
            return _outside(node)
        if FIRST_MARK <= failed.status < FIRST_MARK + MARKS:
            error = CapacityError(message("a loop outgrew the tape of its derivative", at=location))
            error.mark = failed.status
            return error
        if failed.status == FAILED:
            words = f"{node.op.name} did not converge"
            return np.linalg.LinAlgError(message(words, at=location))
        if failed.status == EMPTY:
            return ShapeError(message(nothing_selected(_attribute(node, "name")), at=location))
        return RuntimeError(f"kernel {node.op.name} failed with status {failed.status}")


@native("i64 seize(ptr)")
def _seize(f: Body, busy: Value) -> None:
    """Take the arena of a native way for good; return 1 if a call was using it."""
    f.leave(busy.change("xchg", 1, "acquire"))


@functools.cache
def seize() -> Callable[[int], int]:
    """Return `_seize` as a function of Python."""
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(compile_function(_seize, "none"))


def _new_arena(program: Program) -> Arena:
    """Make an arena; if there is no memory for it, name the line that takes most of it."""
    try:
        return new_arena(program)
    except MemoryError as error:
        node = max(program.graph.nodes, key=lambda n: max(v.type.nbytes for v in n.outputs))
        words = message(
            f"{program.graph.name} needs {program.plan.arena_bytes:,} bytes beside its arguments "
            "and results, and the machine does not give them",
            "most are for what this line keeps: a loop records what its derivative reads",
            'give a budget: trace(memory_budget="1GB")',
            node.origin.location,
        )
        raise ArenaError(words) from error


def _outside(node: Node) -> AxisIndexError:
    """Name the extent if there is one only, and the line of the one write that can have failed.

    What fails in a loop is named by the loop's line.
    """
    found = list(_indexing(node))
    extents = {extent for _, extent in found}
    of = f" for an axis of extent {extents.pop()}" if len(extents) == 1 else ""
    writes = {inner for region in node.regions() for inner in region.nodes}
    failed = found[0][0] if len(found) == 1 and found[0][0] in writes else node
    return AxisIndexError(message(f"an index is out of bounds{of}", at=failed.origin.location))


def _indexing(node: Node) -> Iterator[tuple[Node, Dim]]:
    """The nodes that check positions, and the extents of the axes that these are in."""
    if "extent" in node.attrs:
        yield node, node.attrs["extent"]
    elif isinstance(node.op.code, Loops) and node.op.code.point is not None:
        yield node, node.inputs[0].type.shape[node.attrs["axis"]]
    for region in node.regions():
        for inner in region.nodes:
            yield from _indexing(inner)


def _attribute(node: Node, key: str) -> Any:
    """Return an attribute of a node, or of the first node inside a kernel that has it."""
    if key in node.attrs:
        return node.attrs[key]
    inner = (n for region in node.regions() for n in region.nodes)
    return next((x for x in (_attribute(n, key) for n in inner) if x is not None), None)
