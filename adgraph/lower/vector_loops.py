"""Which innermost loops of kernel text may run in vectors, several neighbouring trips at once.

`vector_loops` looks at a whole kernel: it returns what is needed to know of each innermost loop, or
None if one that matters, or anything around them, is beyond the simple check. The check proves that
trips are independent but for folds: a stored pointer is accessed at one and the same element by
each trip, and scalars are assigned before they are used. Pointers do not alias. `fold_loops` finds
the loops with sums: they are written in vectors even where elements lie apart, because the order of
a sum must not depend on how its elements are read.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from adgraph.lower.kernel_types import FOLDS, KernelTree, assignments

SHORTEST = 5  # loops of fewer trips are unrolled: their values stay in registers


@dataclass(frozen=True)
class VectorLoop:
    """An innermost loop: its index, the variables it gives, and those that are folds.

    `stored` pointers are written, `changed` ones read as well.
    `folds` maps an accumulator to the name of its fold and the expression of what is folded in.
    """

    index: str
    given: frozenset[str]
    folds: Mapping[str, tuple[str, ast.expr]]
    stored: frozenset[str]
    changed: frozenset[str]

    def varies(self, node: ast.expr) -> bool:
        """Tell whether an expression may differ between trips."""
        return any(
            isinstance(part, ast.Name)
            and (part.id == self.index or part.id in self.given or part.id in self.stored)
            for part in ast.walk(node)
        )

    def is_near(self, place: ast.Subscript) -> bool:
        """Tell whether trips read or write neighbouring elements, or all the same one."""
        return stride(place.slice, self.index, self.given) in (0, 1)

    def is_linear(self, place: ast.Subscript) -> bool:
        """Tell whether elements have equal distances."""
        return _is_linear(place.slice, self.index, self.given)


def vector_loops(tree: KernelTree) -> dict[ast.For, VectorLoop] | None:
    """Return the innermost loops of a kernel that run in vectors, or None if LLVM is to choose.

    A loop beyond the check stays as it is where others are nested deeper and so have most of the
    work: the edges of a box beside its inside.
    """
    innermost = list(_innermost(tree.body, 0))
    shared = _shared_variables(tree.body, set()) if innermost else set()
    found: dict[ast.For, VectorLoop] = {}
    deepest, deepest_left = 0, -1
    for statement, depth in innermost:
        loop = _vector_loop(statement, shared) if isinstance(statement, ast.For) else None
        if loop is not None:
            assert isinstance(statement, ast.For)
            found[statement] = loop
            deepest = max(deepest, depth)
        elif isinstance(statement, ast.For) and not _calls(statement):
            deepest_left = max(deepest_left, depth)
        else:
            return None
    return found if deepest_left < deepest else None


def fold_loops(tree: KernelTree) -> dict[ast.For, VectorLoop]:
    """Return the innermost loops with sums that may run in vectors, wherever they are."""
    nodes = (node for statement in tree.body for node in ast.walk(statement))
    innermost = [n for n in nodes if isinstance(n, ast.For) and all(map(_assigns, n.body))]
    shared = _shared_variables(tree.body, set()) if innermost else set()
    sizes = frozenset(tree.sizes)
    found = ((loop, _vector_loop(loop, shared, sizes)) for loop in innermost)
    return {
        loop: facts
        for loop, facts in found
        if facts is not None and any(tree.types[name].is_float for name in facts.folds)
    }


def _innermost(body: Sequence[ast.stmt], depth: int) -> Iterator[tuple[ast.stmt, int]]:
    """The innermost loops, and every statement that is neither a loop nor an assignment.

    The depth of a loop is the number of loops around it and itself that run more than once.
    """
    for statement in body:
        match statement:
            case ast.For(body=inner) if any(not _assigns(s) for s in inner):
                yield from _innermost(inner, depth + _repeats(statement))
            case ast.For():
                yield statement, depth + _repeats(statement)
            case ast.If(body=inner, orelse=[]) if all(isinstance(s, ast.For) for s in inner):
                yield from _innermost(inner, depth)
            case _ if not _assigns(statement) or _invokes(statement):
                yield statement, depth


def _repeats(loop: ast.For) -> bool:
    match loop.iter:
        case ast.Call(args=[ast.Constant(value=1)]):
            return False
    return True


def _calls(loop: ast.For) -> bool:
    """Whether a loop calls functions, which are much faster on vectors; folds are none."""
    calls = (n.func for s in loop.body for n in ast.walk(s) if isinstance(n, ast.Call))
    return any(not isinstance(f, ast.Name) or f.id not in FOLDS for f in calls)


def _assigns(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Assign | ast.AugAssign | ast.Pass)


def _invokes(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign(value=ast.Call(func=ast.Name(id="invoke"))):
            return True
    return False


def _shared_variables(body: Sequence[ast.stmt], assigned: set[str]) -> set[str]:
    """The variables that somewhere are read without having been assigned before in that block."""
    shared: set[str] = set()
    for statement in body:
        given = {name for name, _ in assignments([statement])}
        if isinstance(statement, ast.For):
            shared |= _read(statement.iter) - assigned
            shared |= _shared_variables(statement.body, assigned - given | _read(statement.target))
            assigned -= given
        elif isinstance(statement, ast.If):
            shared |= _read(statement.test) - assigned
            shared |= _shared_variables(statement.body, set(assigned))
            shared |= _shared_variables(statement.orelse, set(assigned))
            assigned -= given
        elif isinstance(statement, ast.While):
            shared |= _read(statement.test) - (assigned - given)
            shared |= _shared_variables(statement.body, assigned - given)
            assigned -= given
        else:
            shared |= _read(statement) - assigned
            assigned |= given
    return shared


def _read(node: ast.stmt | ast.expr) -> set[str]:
    """The variables that a statement reads, or that an expression names."""
    names = (n for n in ast.walk(node) if isinstance(n, ast.Name))
    every = isinstance(node, ast.AugAssign | ast.Name)
    return {n.id for n in names if every or isinstance(n.ctx, ast.Load)}


# --- one loop -------------------------------------------------------------------------------------


def _vector_loop(
    loop: ast.For, shared: set[str], strides: frozenset[str] | None = None
) -> VectorLoop | None:
    """What is to know of a loop; with `strides`, not zero, its elements may lie apart."""
    match loop:
        case ast.For(target=ast.Name(id=index), iter=ast.Call(args=[ast.Constant(value=int(n))])):
            if n < SHORTEST:
                return None
        case ast.For(target=ast.Name(id=index), iter=ast.Call(args=[_] | [_, _])):
            pass
        case _:
            return None
    if any(isinstance(s, ast.Pass) for s in loop.body):
        return None
    folds = _folds(loop.body)
    given = {name for name, _ in assignments(loop.body)}
    temporary = given - folds.keys()
    if ({index} | temporary) & shared or not _ordered(loop.body, given):
        return None
    stored = _stored(loop.body)
    if not _independent(loop.body, index, given, stored, strides):
        return None
    changed = frozenset(stored & _read_elements(loop.body))
    return VectorLoop(index, frozenset(given), folds, frozenset(stored), changed)


def _folds(body: Sequence[ast.stmt]) -> dict[str, tuple[str, ast.expr]]:
    """The variables that are folded: read and written by one statement only, as accumulators."""
    found: dict[str, tuple[str, ast.expr]] = {}
    for statement in body:
        match statement:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(func=ast.Name(id=fold), args=[ast.Name(id=total), x]),
            ) if fold in FOLDS and total == name:
                found[name] = (fold, x)
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.BinOp(
                    left=ast.Name(id=total), op=ast.BitOr() | ast.BitAnd() as op, right=x
                ),
            ) if total == name:
                found[name] = ("or" if isinstance(op, ast.BitOr) else "and", x)
    uses = [n.id for s in body for n in ast.walk(s) if isinstance(n, ast.Name)]
    return {name: fold for name, fold in found.items() if uses.count(name) == 2}


def _ordered(body: Sequence[ast.stmt], given: set[str]) -> bool:
    """Whether every scalar but the folds is assigned before it is used."""
    folds = _folds(body).keys()
    known: set[str] = set()
    for statement in body:
        if (_read(statement) & given) - known - folds:
            return False
        known |= {name for name, _ in assignments([statement])}
    return True


def _stored(body: Sequence[ast.stmt]) -> set[str]:
    names = set()
    for statement in body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        for target in (*targets, getattr(statement, "target", None)):
            if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                names.add(target.value.id)
    return names


def _read_elements(body: Sequence[ast.stmt]) -> set[str]:
    """The pointers whose elements are read."""
    return {
        n.value.id
        for s in body
        for n in ast.walk(s)
        if isinstance(n, ast.Subscript)
        and isinstance(n.value, ast.Name)
        and (isinstance(n.ctx, ast.Load) or isinstance(s, ast.AugAssign))
    }


def _independent(
    body: Sequence[ast.stmt],
    index: str,
    given: set[str],
    stored: set[str],
    strides: frozenset[str] | None,
) -> bool:
    """Whether elements are neighbours or the same, and stored ones belong to one trip."""
    places: dict[str, str] = {}
    for node in (n for s in body for n in ast.walk(s) if isinstance(n, ast.Subscript)):
        if not isinstance(node.value, ast.Name):
            return False
        step = stride(node.slice, index, given)
        if strides is None and step not in (0, 1):
            return False
        name = node.value.id
        if name in stored:
            place = places.setdefault(name, ast.dump(node.slice))
            own = step == 1 or (strides is not None and _moves(node.slice, index, given, strides))
            if not own or place != ast.dump(node.slice):
                return False
    return True


def _moves(node: ast.expr, index: str, given: set[str], strides: frozenset[str]) -> bool:
    """Whether an integer expression is the index times a stride, and what all trips share."""
    match node:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            a, b = stride(left, index, given), stride(right, index, given)
            rest, moving = (a, right) if a == 0 else (b, left)
            return rest == 0 and _moves(moving, index, given, strides)
        case ast.BinOp(left=ast.Name(id=name), op=ast.Mult(), right=ast.Name(id=size)):
            return name == index and size in strides
        case ast.BinOp(left=ast.Name(id=name), op=ast.Mult(), right=ast.Constant(value=factor)):
            return name == index and factor != 0
    return False


def stride(node: ast.expr, index: str, given: set[str] | frozenset[str]) -> int | None:
    """Return by how much an integer expression grows with an index, None if that is not known."""
    match node:
        case ast.Constant():
            return 0
        case ast.Name(id=name):
            return None if name in given else int(name == index)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult() as operator, right=right):
            a, b = stride(left, index, given), stride(right, index, given)
            if a is None or b is None:
                return None
            if isinstance(operator, ast.Mult):
                return 0 if a == b == 0 else _product(left, a, right, b)
            return a + b if isinstance(operator, ast.Add) else a - b
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            a = stride(operand, index, given)
            return None if a is None else -a
    return None


def _product(left: ast.expr, a: int, right: ast.expr, b: int) -> int | None:
    """The growth of a product with a number."""
    match left, right:
        case ast.Constant(value=int(factor)), _:
            return factor * b
        case _, ast.Constant(value=int(factor)):
            return a * factor
    return None


def _is_linear(node: ast.expr, index: str, given: frozenset[str]) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name not in given
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return _is_linear(left, index, given) and _is_linear(right, index, given)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            both = _is_linear(left, index, given) and _is_linear(right, index, given)
            return both and 0 in (stride(left, index, given), stride(right, index, given))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _is_linear(operand, index, given)
    return False
