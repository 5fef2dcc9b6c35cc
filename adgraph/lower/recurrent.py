"""What a trip of a loop needs of the trip before enters its sums last.

The time of a recurrence is that of the chain from trip to trip. In `(a + x + b) / 9` with `x` of
the trip before, the chain has two additions and a division; `(a + b + x) * (1 / 9)` is one addition
and one product, and the rest of the sum does not wait. Begin with `shortened`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from adgraph.lower.fused import Names
from adgraph.lower.nest import Let, Load, Range, Remark, Set, Start, Statement, Stop, Store
from adgraph.lower.numba_source import literal

SUM, QUOTIENT, PRODUCT = "{0} + {1}", "{0} / {1}", "{0} * {1}"
_NUMBER = re.compile(r"(?:float32\()?(-?\d[\d.e+-]*)\)?")


def shortened(loop: Range, names: Names) -> Range:
    """Return a loop of scalar statements with a shorter chain from trip to trip."""
    if not all(isinstance(s, (Load, Let, Set, Start, Store, Stop, Remark)) for s in loop.body):
        return loop
    body = _Body(loop.body)
    if not body.recurrent:
        return loop
    total = body.total()
    if total is not None:
        return replace(loop, body=(*loop.body[:total], body.fold(total), *loop.body[total + 1 :]))
    return replace(loop, body=tuple(_remarked(list(body.rewritten(names)))))


def _remarked(statements: list[Statement]) -> Iterator[Statement]:
    """Leave out the lines of the user that nothing follows any more."""
    for statement, behind in zip(statements, [*statements[1:], None], strict=True):
        if not isinstance(statement, Remark) or not (behind is None or isinstance(behind, Remark)):
            yield statement


@dataclass(frozen=True)
class _Sum:
    """A sum of several addends: the numbers of the statements it is made of, the addends."""

    parts: tuple[int, ...]
    addends: tuple[str, ...]


class _Body:
    """The statements of a trip; `recurrent` are the variables by which trips wait for each other.

    `late` are the numbers of the statements whose results wait.
    """

    def __init__(self, statements: tuple[Statement, ...]) -> None:
        self.statements = statements
        self.sets: dict[str, list[int]] = {}
        self.reads: Counter[str] = Counter()
        for i, statement in enumerate(statements):
            self.reads.update(read_by(statement))
            for name in set_by(statement):
                self.sets.setdefault(name, []).append(i)
        self.recurrent = self._recurrent()
        self.late: set[int] = set()
        waiting = set(self.recurrent)
        for i, statement in enumerate(statements):
            if not waiting.isdisjoint(read_by(statement)):
                self.late.add(i)
                waiting.update(set_by(statement))
            else:
                waiting.difference_update(set_by(statement))

    def _recurrent(self) -> set[str]:
        """The variables that a trip computes from what they were before it."""
        origins: dict[str, frozenset[str]] = {}
        computed: set[str] = set()
        for statement in self.statements:
            read = [origins.get(n, frozenset({n} & self.sets.keys())) for n in read_by(statement)]
            for name in set_by(statement):
                origins[name] = frozenset().union(*read)
                if isinstance(statement, Let) or not computed.isdisjoint(read_by(statement)):
                    computed.add(name)
        ends = {n: set(origins[n]) for n in self.sets if self.reads[n] and n in computed}
        for _ in ends:
            for name, found in ends.items():
                ends[name] = found.union(*(ends.get(n, set()) for n in found))
        return {name for name, found in ends.items() if name in found}

    # --- one sum over all trips ------------------------------------------------------------------

    def total(self) -> int | None:
        """The statement that adds to a sum over all trips, if that is all that trips wait for."""
        if len(self.late) != 2 or len(self.recurrent) != 1:
            return None
        (name,) = self.recurrent
        first, last = sorted(self.late)
        step, end = self.statements[first], self.statements[last]
        if not isinstance(step, Let) or step.operands.count(name) != 1 or not _is_sum(step):
            return None
        moved = isinstance(end, Set) and (end.name, end.text) == (name, step.name)
        return first if moved and self.reads[step.name] == 1 else None

    def fold(self, total: int) -> Let:
        """The addition to a sum over all trips, in whatever order is fast."""
        step = self.statements[total]
        assert isinstance(step, Let)
        (name,) = self.recurrent
        first, second = step.operands
        operands = (name, second if first == name else first)
        return replace(step, text="fold_add({0}, {1})", operands=operands)

    # --- sums -------------------------------------------------------------------------------------

    def rewritten(self, names: Names) -> Iterator[Statement]:
        """Write the statements, with what waits at the end of every sum."""
        sums = {s.parts[-1]: s for s in self._sums()}
        gone = {i for s in sums.values() for i in s.parts}
        for i, statement in enumerate(self.statements):
            if i in sums:
                assert isinstance(statement, Let)
                yield from _chain(statement, sums[i].addends, names)
            elif i not in gone:
                yield self._product(i, statement)

    def _sums(self) -> Iterator[_Sum]:
        for i in sorted(self.late):
            statement = self.statements[i]
            if not _is_sum(statement) or self._inner(i):
                continue
            parts, addends = self._flat(i)
            waiting = [self._waits(name, i) for name in addends]
            if len(addends) < 3 or all(waiting) or not any(waiting):
                continue
            pairs = sorted(zip(waiting, range(len(addends)), addends, strict=True))
            yield _Sum(tuple(parts), tuple(name for *_, name in pairs))

    def _waits(self, name: str, at: int) -> bool:
        """Whether the value that a variable has at a statement waits for the trip before."""
        before = [i for i in self.sets.get(name, ()) if i < at]
        return before[-1] in self.late if before else name in self.recurrent

    def _inner(self, i: int) -> bool:
        """Whether a sum is an addend of a larger one and nothing else."""
        statement = self.statements[i]
        assert isinstance(statement, Let)
        name = statement.name
        if self.reads[name] != 1 or len(self.sets[name]) != 1:
            return False
        reader = next(j for j, s in enumerate(self.statements) if name in read_by(s))
        return reader > i and _is_sum(self.statements[reader]) and self._kept(i, reader)

    def _kept(self, i: int, until: int) -> bool:
        """Whether the addends of a sum are the same at a later statement."""
        names = read_by(self.statements[i])
        return not any(i < at < until for name in names for at in self.sets.get(name, ()))

    def _flat(self, top: int) -> tuple[list[int], list[str]]:
        """The statements that make up a sum, the last one at the end, and its addends in order."""
        parts, addends = [], []
        waiting = [top]
        statement = self.statements[top]
        assert isinstance(statement, Let)
        stack = list(reversed(statement.operands))
        while stack:
            name = stack.pop()
            at = self.sets.get(name, [top])
            part = self.statements[at[0]]
            inner = len(at) == 1 and at[0] < top and _is_sum(part) and self._inner(at[0])
            if inner and isinstance(part, Let) and self._kept(at[0], top):
                parts.append(at[0])
                stack.extend(reversed(part.operands))
            else:
                addends.append(name)
        return [*sorted(parts), *waiting], addends

    def _product(self, i: int, statement: Statement) -> Statement:
        """Multiply by the reciprocal of a literal where a quotient waits."""
        if i not in self.late or not isinstance(statement, Let) or statement.text != QUOTIENT:
            return statement
        number = _NUMBER.fullmatch(statement.operands[1])
        if number is None or statement.dtype.kind != "f" or not float(number[1]):
            return statement
        factor = np.asarray(1.0 / float(number[1]), statement.dtype)
        if not math.isfinite(factor) or not factor:
            return statement
        operands = (statement.operands[0], literal(factor, statement.dtype))
        return replace(statement, text=PRODUCT, operands=operands)


def _is_sum(statement: Statement) -> bool:
    return isinstance(statement, Let) and statement.text == SUM and statement.dtype.kind == "f"


def _chain(total: Let, addends: tuple[str, ...], names: Names) -> Iterator[Statement]:
    so_far = addends[0]
    for name in addends[1:-1]:
        between = names.scalar()
        yield replace(total, name=between, operands=(so_far, name))
        so_far = between
    yield replace(total, operands=(so_far, addends[-1]))


def set_by(statement: Statement) -> tuple[str, ...]:
    """Return the variable that a scalar statement gives a value."""
    match statement:
        case Load(name=name) | Let(name=name) | Set(name=name) | Start(name=name):
            return (name,)
        case _:
            return ()


def read_by(statement: Statement) -> tuple[str, ...]:
    """Return the variables that a scalar statement reads, the indices of accesses left out."""
    match statement:
        case Let(operands=operands):
            return operands
        case Store(name=name):
            return (name,)
        case Set(text=text) | Stop(condition=text):
            return tuple(re.findall(r"[A-Za-z_]\w*", text))
        case _:
            return ()
