"""What a trip of a loop needs of the trip before enters its sums last.

The time of a recurrence is that of the chain from trip to trip. In `(a + x + b) / 9` with `x` of
the trip before, the chain has two additions and a division; `(a + b + x) * (1 / 9)` is one addition
and one product, and the rest of the sum does not wait. What else reads parts of a sum does not
matter: a value has the same bits whether or not its parts are kept. Begin with `shortened`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from adgraph.lower.given import Names
from adgraph.lower.nest import Let, Load, Range, Remark, Set, Start, Statement, Stop, Store
from adgraph.lower.numba_source import literal

SUM, QUOTIENT, PRODUCT = "{0} + {1}", "{0} / {1}", "{0} * {1}"
WITH_PRODUCT = {  # sums of a product and the last operand, with the text of the product
    "fma({0}, {1}, {2})": PRODUCT,
    "fma(-{0}, {1}, {2})": "-{0} * {1}",
}
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
        fold = body.fold(total, names)
        return replace(loop, body=(*loop.body[:total], *fold, *loop.body[total + 1 :]))
    return replace(loop, body=tuple(_remarked(list(body.rewritten(names)))))


def _remarked(statements: list[Statement]) -> Iterator[Statement]:
    """Leave out the lines of the user that nothing follows any more."""
    for statement, behind in zip(statements, [*statements[1:], None], strict=True):
        if not isinstance(statement, Remark) or not (behind is None or isinstance(behind, Remark)):
            yield statement


@dataclass(frozen=True)
class _Addend:
    """A variable, or a product, and the text of what adds it to a sum."""

    operands: tuple[str, ...]
    text: str = SUM


@dataclass(frozen=True)
class _Sum:
    """A sum of several addends: the numbers of the statements it is made of, the addends."""

    parts: tuple[int, ...]
    addends: tuple[_Addend, ...]


class _Body:
    """The statements of a trip; `recurrent` are the variables by which trips wait for each other.

    `late` are the numbers of the statements whose results wait.
    """

    def __init__(self, statements: tuple[Statement, ...]) -> None:
        self.statements = statements
        self.sets: dict[str, list[int]] = {}
        self.reads: Counter[str] = Counter()
        self.readers: dict[str, list[int]] = {}
        for i, statement in enumerate(statements):
            self.reads.update(read_by(statement))
            for name in dict.fromkeys(read_by(statement)):
                self.readers.setdefault(name, []).append(i)
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
        if not isinstance(step, Let) or step.operands.count(name) != 1:
            return None
        if _Addend((name,)) not in _addends(step):
            return None
        moved = isinstance(end, Set) and (end.name, end.text) == (name, step.name)
        return first if moved and self.reads[step.name] == 1 else None

    def fold(self, total: int, names: Names) -> Iterator[Let]:
        """Add to a sum over all trips, in whatever order is fast."""
        step = self.statements[total]
        assert isinstance(step, Let)
        (name,) = self.recurrent
        (addend,) = (a for a in _addends(step) if a.operands != (name,))
        operand = addend.operands[0]
        if addend.text in WITH_PRODUCT:
            operand = names.scalar()
            product = WITH_PRODUCT[addend.text]
            yield replace(step, name=operand, text=product, operands=addend.operands)
        yield replace(step, text="fold_add({0}, {1})", operands=(name, operand))

    # --- sums -------------------------------------------------------------------------------------

    def rewritten(self, names: Names) -> Iterator[Statement]:
        """Write the statements, with what waits at the end of every sum."""
        sums = {s.parts[-1]: s for s in self._sums()}
        gone = self._gone(sums)
        for i, statement in enumerate(self.statements):
            if i in sums:
                assert isinstance(statement, Let)
                yield from _chain(statement, sums[i].addends, names)
            elif i not in gone:
                yield self._product(i, statement)

    def _gone(self, sums: Mapping[int, _Sum]) -> set[int]:
        """The parts of sums that nothing else reads."""
        gone: set[int] = set()
        needed = {n for s in sums.values() for addend in s.addends for n in addend.operands}
        for i in sorted({i for s in sums.values() for i in s.parts[:-1]}, reverse=True):
            (name,) = set_by(self.statements[i])
            if name not in needed and gone.union(sums).issuperset(self.readers[name]):
                gone.add(i)
        return gone - sums.keys()

    def _sums(self) -> Iterator[_Sum]:
        for i in sorted(self.late):
            if not _is_sum(self.statements[i]) or self._is_inner(i):
                continue
            parts, addends = self._flat(i)
            waiting = [any(self._waits(name, i) for name in a.operands) for a in addends]
            if len(addends) < 3 or all(waiting) or not any(waiting):
                continue
            ranks = [(w, a.text != SUM) for w, a in zip(waiting, addends, strict=True)]
            order = sorted(range(len(addends)), key=ranks.__getitem__)
            yield _Sum(tuple(parts), tuple(addends[k] for k in order))

    def _waits(self, name: str, at: int) -> bool:
        """Whether the value that a variable has at a statement waits for the trip before."""
        before = [i for i in self.sets.get(name, ()) if i < at]
        return before[-1] in self.late if before else name in self.recurrent

    def _is_inner(self, i: int) -> bool:
        """Whether a sum is an addend of larger ones and nothing else."""
        (name,) = set_by(self.statements[i])
        return bool(self.readers.get(name)) and all(self._joins(i, j) for j in self.readers[name])

    def _joins(self, i: int, top: int) -> bool:
        """Whether a sum or product may be written as a part of a sum that adds it."""
        part, total = self.statements[i], self.statements[top]
        if not isinstance(part, Let) or not isinstance(total, Let) or part.dtype != total.dtype:
            return False
        name = part.name
        if len(self.sets[name]) != 1 or i >= top or not self._kept(i, top):
            return False
        addends = _addends(total)
        factors = [n for a in addends if a.text != SUM for n in a.operands]
        return _Addend((name,)) in addends and name not in factors

    def _kept(self, i: int, until: int) -> bool:
        """Whether the addends of a sum are the same at a later statement."""
        names = read_by(self.statements[i])
        return not any(i < at < until for name in names for at in self.sets.get(name, ()))

    def _flat(self, top: int) -> tuple[list[int], list[_Addend]]:
        """The statements that make up a sum, the last one at the end, and its addends in order."""
        parts: list[int] = []
        addends: list[_Addend] = []
        stack = [(addend, top) for addend in reversed(_addends(self.statements[top]))]
        while stack:
            addend, reader = stack.pop()
            at = self.sets.get(addend.operands[0], [top])[0] if addend.text == SUM else top
            joins = at < reader and self._joins(at, reader) and self._kept(at, top)
            inner = _addends(self.statements[at]) if joins else []
            if inner:
                parts.append(at)
                stack.extend((part, at) for part in reversed(inner))
            elif joins and _is_product(self.statements[at]):
                parts.append(at)
                addends.append(_Addend(read_by(self.statements[at]), next(iter(WITH_PRODUCT))))
            else:
                addends.append(addend)
        return [*sorted(parts), top], addends

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
    return bool(_addends(statement))


def _is_product(statement: Statement) -> bool:
    return isinstance(statement, Let) and (statement.text, statement.dtype.kind) == (PRODUCT, "f")


def _addends(statement: Statement) -> list[_Addend]:
    """The addends of a sum of floats in order, none for other statements."""
    match statement:
        case Let(dtype=dtype, text=text, operands=operands) if dtype.kind == "f":
            if text == SUM:
                return [_Addend((name,)) for name in operands]
            if text in WITH_PRODUCT:
                return [_Addend(operands[2:]), _Addend(operands[:2], text)]
    return []


def _chain(total: Let, addends: tuple[_Addend, ...], names: Names) -> Iterator[Statement]:
    first, *others = addends
    so_far = first.operands[0]
    if first.text in WITH_PRODUCT:
        so_far = names.scalar()
        product = WITH_PRODUCT[first.text]
        yield replace(total, name=so_far, text=product, operands=first.operands)
    for addend in others:
        name = total.name if addend is others[-1] else names.scalar()
        operands = (so_far, *addend.operands)
        if addend.text in WITH_PRODUCT:
            operands = (*addend.operands, so_far)
        yield replace(total, name=name, text=addend.text, operands=operands)
        so_far = name


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
