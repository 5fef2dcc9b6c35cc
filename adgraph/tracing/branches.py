"""Branches on conditions known only when the program runs: both are traced, a `cond` chooses.

Arrays written in a branch and variables that are read behind it come out of the `cond`; what is
the same in both stays. A name that is one array here and another there may be read, not written.
Begin with `branch`; `choice` is the same for an expression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adgraph.errors import AdgraphError, DtypeError, ShapeError, TracingError, message
from adgraph.ir.dims import Affine, UndecidedError
from adgraph.ir.graph import Graph, Value
from adgraph.ir.op import type_of
from adgraph.ops import control
from adgraph.tracing.exits import PREFIX, RESULT
from adgraph.tracing.forms import (
    Form,
    converted,
    described,
    form_of,
    handle_of,
    is_value,
    joined,
    same,
)
from adgraph.tracing.frames import (
    Cell,
    Frame,
    Part,
    Uncapturable,
    constants_of,
    current,
    inside,
    lose,
    new_region,
    origin,
    read_cell,
    uncapturable,
    write_cell,
)
from adgraph.tracing.predication import is_short, merged
from adgraph.tracing.purity import check_attempts
from adgraph.tracing.source import UNDEFINED, Variables
from adgraph.tracing.tracer import (
    ArrayTracer,
    IndexTracer,
    Tracer,
    as_tracer,
    known_value,
    question_of,
    read,
)
from adgraph.tracing.tree import Structure, flatten, unflatten

Thunk = Callable[[], Any]


def predicate(condition: Any) -> Tracer | None:
    """Return a condition as a traced bool, None if Python can decide it."""
    if not isinstance(condition, Tracer) or known_value(condition) is not None:
        return None
    if isinstance(condition, IndexTracer):
        unequal = condition != 0
        return unequal if isinstance(unequal, Tracer) else None
    if condition.shape and condition.size != 1:
        return None  # Python's error about the truth value of an array is the right one
    scalar: Any = np.reshape(condition, ()) if condition.shape else condition
    truth: Tracer = scalar if scalar.dtype.kind == "b" else np.not_equal(scalar, 0)
    return truth


def decided(condition: Any) -> bool:
    """Return the truth value of a condition that Python can decide."""
    return bool(condition != 0) if isinstance(condition, IndexTracer) else bool(condition)


@dataclass(frozen=True)
class Side:
    """One branch, traced: its frame, and the value of each variable behind it."""

    frame: Frame
    finals: tuple[Any, ...]


def branch(test: Tracer, then: Thunk, orelse: Thunk, variables: Variables) -> None:
    """Record `if test: then() else: orelse()`."""
    check_attempts("an if on a traced condition")
    entry = variables.get()
    try:
        sides = [_traced(body, variables, entry) for body in (then, orelse)]
    finally:
        variables.set(entry)
    rows = zip(variables.names, *(side.finals for side in sides), strict=True)
    try:
        names = [_merged(name, then_, other, variables) for name, then_, other in rows]
    except (Uncapturable, AdgraphError):
        question = question_of(test)
        if isinstance(question, Affine):
            raise UndecidedError(f"the sign of {question} decides a branch", question) from None
        raise
    results = _record(test, sides, [leaf for name in names for leaf in name.leaves])
    variables.set([name.rebuilt(results) for name in names])


def choice(test: Tracer, then: Thunk, orelse: Thunk) -> Any:
    """Record `then() if test else orelse()`."""
    value = Variables.one(_VALUE)
    branch(test, lambda: value.set((then(),)), lambda: value.set((orelse(),)), value)
    return value.get()[0]


_VALUE = f"{PREFIX}value__"


def _traced(body: Thunk, variables: Variables, entry: tuple[Any, ...]) -> Side:
    frame = new_region(Part.BRANCH, variables.cells)
    variables.set(entry)
    with inside(frame):
        body()
        return Side(frame, variables.get())


# --- variables ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Merged:
    """One variable behind both branches: leaves that differ have a form."""

    structure: Structure
    leaves: tuple[Leaf, ...]

    def rebuilt(self, results: dict[Leaf, Value]) -> Any:
        """Return the value of the variable."""
        leaves = [x.behind(results) for x in self.leaves]
        return UNDEFINED if GONE in self.leaves else unflatten(self.structure, leaves)


@dataclass(frozen=True, eq=False)
class Leaf:
    """A leaf behind both branches: what it is in each, and the form of both if they differ."""

    sides: tuple[Any, Any]
    form: Form | None

    def behind(self, results: dict[Leaf, Value]) -> Any:
        """Return the leaf behind the branches."""
        if self.form is None:
            return self.sides[0]
        handle = handle_of(results[self], self.form)
        if self.form.frozen:
            handle.cell.copies(x.cell for x in self.sides if isinstance(x, ArrayTracer))
        return handle


GONE = Leaf((UNDEFINED, UNDEFINED), None)


def _merged(name: str, then: Any, orelse: Any, variables: Variables) -> Merged:
    (left, structure), (right, other) = flatten(then), flatten(orelse)
    if name not in variables.leaving:
        return Merged(structure, (GONE,))
    if then is UNDEFINED and orelse is not UNDEFINED:
        left, structure = [UNDEFINED] * len(right), other
    elif orelse is UNDEFINED and then is not UNDEFINED:
        right = [UNDEFINED] * len(left)
    elif structure != other:
        raise uncapturable(_differs(name, then, orelse))
    pairs = zip(left, right, strict=True)
    return Merged(structure, tuple(_merged_leaf(name, a, b, variables) for a, b in pairs))


def _merged_leaf(name: str, a: Any, b: Any, variables: Variables) -> Leaf:
    if same(a, b):
        return Leaf((a, b), None)
    found = [x for x in (a, b) if x is not UNDEFINED]
    if not all(map(is_value, found)):
        if len(found) == 1:
            return Leaf((found[0], found[0]), None)
        raise uncapturable(_differs(name, a, b))
    if len(found) == 1 and not variables.leave:
        lose(name, "it is bound in one branch of an if on a traced condition only")
        return GONE
    form = form_of(found[0]) if len(found) == 1 else joined(form_of(a), form_of(b))
    if form is None or (form.type.shape and not _same_dtype(found)):
        raise uncapturable(_differs(name, a, b))
    if any(isinstance(x, ArrayTracer) and current().owns(x.cell.value) for x in found):
        form = replace(form, frozen=form.frozen or _ONE_OF_TWO.format(name))
    return Leaf((a, b), form)


def _same_dtype(arrays: Sequence[Any]) -> bool:
    return len({type_of(x).dtype for x in arrays}) == 1


_ONE_OF_TWO = "{!r} is one array in one branch and another array in the other"


def _differs(name: str, a: Any, b: Any) -> AdgraphError:
    what = {_VALUE: "the value", RESULT: "the returned value"}.get(name, repr(name))
    kind: type[AdgraphError] = TracingError
    if is_value(a) and is_value(b):
        kind = ShapeError if type_of(a).shape != type_of(b).shape else DtypeError
    return kind(
        message(
            f"after an if on a traced condition {what} is {described(a)} in one branch and "
            f"{described(b)} in the other",
            "which branch is taken is known only when the program runs, and a value has one type",
            "give it the same shape and kind in both branches, or mark what decides as static: "
            "@trace(static_argnames=...)",
        )
    )


# --- the node -------------------------------------------------------------------------------------


def _record(test: Tracer, sides: Sequence[Side], leaves: list[Leaf]) -> dict[Leaf, Value]:
    """Record the `cond`, write the cells that a branch has written, and return what differs."""
    differing = [leaf for leaf in leaves if leaf.form is not None]
    cells = list(dict.fromkeys(cell for side in sides for cell in side.frame.journal))
    ends = [_ends(side.frame, n, differing, cells) for n, side in enumerate(sides)]
    if not differing and not cells:
        return {}
    frames = [side.frame for side in sides]
    chosen = [end[: len(differing)] for end in ends]
    if is_short(frames, chosen[0]):
        return dict(zip(differing, merged(read(test), frames, chosen), strict=True))
    operands, inputs = constants_of(frames, ())
    graphs = [
        Graph(tuple(given), tuple(side.frame.builder.nodes), tuple(out), name)
        for given, side, out, name in zip(inputs, sides, ends, ("then", "orelse"), strict=True)
    ]
    attrs = {"then": graphs[0], "orelse": graphs[1]}
    results = current().emit(control.cond, [read(test), *operands], attrs, origin())
    for cell, value in zip(cells, results[len(differing) :], strict=True):
        write_cell(cell, value)
    return dict(zip(differing, results[: len(differing)], strict=True))


def _ends(frame: Frame, side: int, differing: list[Leaf], cells: list[Cell]) -> list[Value]:
    with inside(frame):
        values = []
        for leaf in differing:
            assert leaf.form is not None
            values.append(converted(leaf.sides[side], leaf.form))
        return [*values, *map(read_cell, cells)]


def as_bool(x: Any) -> Any:
    """Return a condition as a bool of the program."""
    found = predicate(x)
    return as_tracer(decided(x), bool) if found is None else found
