"""Which variables of a function are still read, at its loops and branches.

Goes in: the statements of a function without exits, and the flags of its breaks. Comes out: for
every loop, the variables that an iteration reads from the one before it, and for every loop and
branch those that are read behind it. A captured body carries no others. Begin with `lifetimes`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from adgraph.tracing.scope import FUNCTIONS, own

Names = frozenset[str]
NOTHING: Names = frozenset()


@dataclass
class Lifetimes:
    """Variables that are read later: where a loop's body begins, and behind a loop or branch."""

    entering: dict[ast.stmt, Names] = field(default_factory=dict)
    leaving: dict[ast.stmt, Names] = field(default_factory=dict)


def lifetimes(
    body: Sequence[ast.stmt], breaks: Mapping[ast.stmt, str], always: Iterable[str]
) -> Lifetimes:
    r"""Find what is read later; `always` are variables that inner functions may ask for.

    >>> loop, result = ast.parse("for i in r:\n t = s + i\n s = t\nreturn s").body
    >>> found = lifetimes([loop, result], {}, ())
    >>> sorted(found.entering[loop]), sorted(found.leaving[loop])
    (['s'], ['s'])
    """
    walk = _Walk(breaks, frozenset(always) | _closed_over(body))
    walk.block(body, walk.always)
    return walk.found


def _closed_over(body: Iterable[ast.stmt]) -> Names:
    """The names that inner functions read, whenever they are called."""
    inner = [node for node in own(body) if isinstance(node, _LATER)]
    return frozenset(
        node.id for outer in inner for node in ast.walk(outer) if isinstance(node, ast.Name)
    )


_LATER = (*FUNCTIONS, ast.ClassDef, ast.GeneratorExp)


def _reads(nodes: Iterable[ast.AST]) -> Names:
    """The names read in the nodes, those in a `del` included."""
    return frozenset(
        node.id
        for node in own(nodes)
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store)
    )


def _assigns(targets: Iterable[ast.expr]) -> Names:
    """The names that targets bind."""
    return frozenset(
        node.id
        for node in own(targets)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )


@dataclass
class _Walk:
    """The walk backwards over the statements; `later` is what is read behind a statement."""

    breaks: Mapping[ast.stmt, str]
    always: Names
    found: Lifetimes = field(default_factory=Lifetimes)

    def block(self, body: Sequence[ast.stmt], later: Names) -> Names:
        for statement in reversed(body):
            later = self.statement(statement, later)
        return later

    def statement(self, statement: ast.stmt, later: Names) -> Names:
        match statement:
            case ast.Assign(targets=targets, value=value):
                return (later - _assigns(targets)) | _reads([value, *targets]) | self.always
            case ast.If(test=test, body=body, orelse=orelse):
                self.found.leaving[statement] = later
                either = self.block(body, later) | self.block(orelse, later)
                return either | _reads([test])
            case ast.For(target=target, iter=iterable, body=body):
                begins = self.loop(statement, [target], [], body, later)
                return begins | _reads([iterable])
            case ast.While(test=test, body=body):
                return self.loop(statement, [], [test], body, later)
            case ast.AugAssign(target=ast.Name(id=name)):
                return later | _reads([statement]) | {name}
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                return (later - {name}) | _reads([statement]) | self.always
            case ast.With() | ast.Try() | ast.TryStar() | ast.Match():
                return self.opaque(statement, later)
            case _:
                return later | _reads([statement])

    def loop(
        self,
        loop: ast.For | ast.While,
        targets: Sequence[ast.expr],
        tests: Sequence[ast.expr],
        body: Sequence[ast.stmt],
        later: Names,
    ) -> Names:
        """Walk a body until what it reads of the iteration before is known; it may not run."""
        asked = _reads(tests)
        if loop in self.breaks:
            asked |= {self.breaks[loop]}
            if isinstance(loop, ast.For):
                asked |= later  # once the flag is set, a trip does nothing
        self.found.leaving[loop] = later
        begins = asked
        while True:
            inner = self.block(body, later | begins)
            found = begins | ((inner - _assigns(targets)) | _reads(targets) | asked)
            if found == begins:
                break
            begins = found
        self.found.entering[loop] = begins
        return begins | later

    def opaque(self, statement: ast.stmt, later: Names) -> Names:
        """Blocks that may be left anywhere: nothing in them ends the life of a name."""
        everything = later | _reads([statement])
        for inner in own([statement]):
            if isinstance(inner, ast.If | ast.For | ast.While):
                self.found.leaving[inner] = everything
                self.found.entering[inner] = everything
        return everything
