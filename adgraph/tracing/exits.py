"""Removal of `return`, `break` and `continue` from the body of a function.

Goes in: the statements of one function. Comes out: statements that mean the same with at most one
`return`, at the very end, and no `break` or `continue`: what follows an `if` becomes its other
branch, and where that is not enough there are flags. Begin with `remove_exits`.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TypeVar

from adgraph.tracing.scope import (
    always_leaves,
    cleans_up_after_exit,
    leaves,
    movable,
    own,
    returns,
)

PREFIX = "__adgraph_"
RESULT = f"{PREFIX}result__"
RETURNED = f"{PREFIX}returned__"

Node = TypeVar("Node", bound=ast.AST)


def located(node: Node, like: ast.AST) -> Node:
    """Give a new node, and the new nodes in it, the position of an old one."""
    return ast.fix_missing_locations(ast.copy_location(node, like))


def start_of(node: ast.expr | ast.stmt) -> ast.AST:
    """Return a node of no extent at the first character of another."""
    line, column = node.lineno, node.col_offset
    return ast.Pass(lineno=line, col_offset=column, end_lineno=line, end_col_offset=column)


def statements(text: str, like: ast.AST) -> list[ast.stmt]:
    """Parse statements and place them where `like` stands."""
    body = ast.parse(text).body
    for statement in body:
        for node in ast.walk(statement):
            ast.copy_location(node, like)
    return body


def expression(text: str, like: ast.AST) -> ast.expr:
    """Parse an expression and place it where `like` stands."""
    (statement,) = statements(text, like)
    assert isinstance(statement, ast.Expr)
    return statement.value


@dataclass(frozen=True)
class Structured:
    """A body without exits, and the flag which a `break` sets for each loop that has one."""

    body: list[ast.stmt]
    breaks: dict[ast.stmt, str]


def remove_exits(body: list[ast.stmt]) -> Structured:
    r"""Return `body` with no `break` or `continue` and with at most one `return`, at its end.

    >>> source = "while x:\n if x == 3: break\n x -= 1\nreturn x"
    >>> print(ast.unparse(remove_exits(ast.parse(source).body).body))
    __adgraph_break_1__ = False
    while x:
        if x == 3:
            __adgraph_break_1__ = True
        else:
            x -= 1
    return x

    The loop's own test on the flag is left to the caller, who finds the flag's name in `breaks`.
    """
    exits = _Exits()
    return Structured(exits.function(body), exits.breaks)


class _Returned(ast.Return):
    """A return whose value is known already, on its way out of the loops."""


@dataclass
class _Region:
    """The body of a loop, or of the function (loop 0): what flags its exits set, and which do."""

    left: str
    broken: str
    loop: int
    uses_left: bool = False
    uses_broken: bool = False
    uses_returned: bool = False


@dataclass
class _Exits:
    """The walk over one function; counts its loops."""

    breaks: dict[ast.stmt, str] = field(default_factory=dict)
    loops: int = 0
    uses_returned: bool = False

    def function(self, body: list[ast.stmt]) -> list[ast.stmt]:
        region = _Region(RETURNED, RETURNED, 0)
        last = body[-1]
        if isinstance(last, ast.Return) and not returns(body[:-1]):
            return [*self.block(body[:-1], region, tail=True), last]
        if not returns(body):
            return self.block(body, region, tail=True)
        if not always_leaves(body):
            body = [*body, located(ast.Return(ast.Constant(None)), last)]
        result = self.block(body, region, tail=True)
        if self.uses_returned or region.uses_left:
            result = [*statements(f"{RETURNED} = False", body[0]), *result]
        return [*result, *statements(f"return {RESULT}", last)]

    def block(self, body: list[ast.stmt], region: _Region, *, tail: bool) -> list[ast.stmt]:
        """Rewrite a block of `region`; `tail` says that nothing of the region runs after it."""
        done: list[ast.stmt] = []
        for position, statement in enumerate(body):
            rest = body[position + 1 :]
            if isinstance(statement, ast.Return | ast.Break | ast.Continue):
                return done + self.leave(statement, region, tail=tail)
            if isinstance(statement, ast.For | ast.While):
                loop, after = self.loop(statement)
                done += loop
                if after:
                    return done + self.block(after + rest, region, tail=tail)
            elif isinstance(statement, ast.If) and leaves(statement):
                return done + self.branch(statement, rest, region, tail=tail)
            elif leaves(statement):
                done.append(self.compound(statement, region, tail=tail and not rest))
                return done + self.guarded(rest, region, tail=tail)
            else:
                done.append(self.compound(statement, region, tail=tail))
        return done

    def leave(
        self, exit_: ast.Return | ast.Break | ast.Continue, region: _Region, *, tail: bool
    ) -> list[ast.stmt]:
        """Set what one exit sets; at the tail of its region nothing must be skipped."""
        done: list[ast.stmt] = []
        flags = []
        if isinstance(exit_, ast.Return) and not isinstance(exit_, _Returned):
            value = exit_.value or ast.Constant(None)
            done.append(located(ast.Assign([ast.Name(RESULT, ast.Store())], value), exit_))
            flags += [RETURNED] if region.loop else []
        if isinstance(exit_, ast.Return) and region.loop:
            region.uses_returned = self.uses_returned = True
        if not isinstance(exit_, ast.Continue) and region.loop:
            region.uses_broken = True
            flags.append(region.broken)
        if not tail:
            region.uses_left = True
            flags.append(region.left)
        for flag in flags:
            done += statements(f"{flag} = True", exit_)
        return done

    def branch(
        self, statement: ast.If, rest: list[ast.stmt], region: _Region, *, tail: bool
    ) -> list[ast.stmt]:
        """Rewrite an `if` with exits: what follows it moves into the branch that does not leave."""
        body, orelse = statement.body, statement.orelse
        after: list[ast.stmt] = []
        if always_leaves(body):
            orelse = orelse + rest
        elif always_leaves(orelse):
            body = body + rest
        else:
            after = rest
        inner_tail = tail and not after
        new = ast.If(
            statement.test,
            _filled(self.block(body, region, tail=inner_tail), statement),
            self.block(orelse, region, tail=inner_tail),
        )
        return [located(new, statement), *self.guarded(after, region, tail=tail)]

    def guarded(self, rest: list[ast.stmt], region: _Region, *, tail: bool) -> list[ast.stmt]:
        """Run `rest` unless its region was left already."""
        if not rest:
            return []
        region.uses_left = True
        body = _filled(self.block(rest, region, tail=tail), rest[0])
        test = expression(f"not {region.left}", rest[0])
        return [located(ast.If(test, body, []), rest[0])]

    def compound(self, statement: ast.stmt, region: _Region, *, tail: bool) -> ast.stmt:
        """Rewrite the blocks of a statement that stays: with, try, match, an `if` without exits."""
        match statement:
            case ast.If():
                statement.body = self.filled(statement.body, region, tail=tail)
                statement.orelse = self.filled(statement.orelse, region, tail=tail)
            case ast.With():
                statement.body = self.filled(statement.body, region, tail=tail)
            case ast.Match():
                for case in statement.cases:
                    case.body = self.filled(case.body, region, tail=tail)
            case ast.Try() | ast.TryStar():
                self.try_(statement, region, tail=tail)
        return statement

    def filled(self, body: list[ast.stmt], region: _Region, *, tail: bool) -> list[ast.stmt]:
        """Rewrite a block that must not become empty if it was not."""
        return _filled(self.block(body, region, tail=tail), body[0]) if body else []

    def try_(self, statement: ast.Try | ast.TryStar, region: _Region, *, tail: bool) -> None:
        """Rewrite a try: an exit skips its `else`, and an exception caught cancels an exit."""
        body_leaves = any(leaves(inner) for inner in statement.body)
        cancels = any(cleans_up_after_exit(inner) for inner in own(statement.body))
        statement.body = self.filled(statement.body, region, tail=tail and not statement.orelse)
        for handler in statement.handlers:
            reset = self.reset(region, handler) if cancels else []
            handler.body = reset + self.filled(handler.body, region, tail=tail)
        if body_leaves:
            statement.orelse = self.guarded(statement.orelse, region, tail=tail)
        else:
            statement.orelse = self.filled(statement.orelse, region, tail=tail)
        statement.finalbody = self.filled(statement.finalbody, region, tail=tail)

    def reset(self, region: _Region, handler: ast.ExceptHandler) -> list[ast.stmt]:
        """Clear the flags that may be set by an exit on whose way an exception was raised."""
        used = [(region.left, region.uses_left), (region.broken, region.uses_broken)]
        used.append((RETURNED, self.uses_returned))
        flags = dict.fromkeys(flag for flag, is_used in used if is_used)
        return [reset for flag in flags for reset in statements(f"{flag} = False", handler)]

    def loop(self, statement: ast.For | ast.While) -> tuple[list[ast.stmt], list[ast.stmt]]:
        """Return the loop without exits, and what must follow it, whose exits are still there."""
        self.loops += 1
        region = _Region(
            f"{PREFIX}continue_{self.loops}__", f"{PREFIX}break_{self.loops}__", self.loops
        )
        body = _filled(self.block(statement.body, region, tail=True), statement)
        after = _after_loop(statement, region)
        if region.uses_left:
            body = [*statements(f"{region.left} = False", statement), *body]
        if not region.uses_broken:
            return [_loop(statement, body)], after
        start = statements(f"{region.broken} = False", statement)
        if isinstance(statement, ast.While) and not movable(statement.test):
            return start + _asking(statement, body, region), after
        loop = _loop(statement, body)
        self.breaks[loop] = region.broken
        return [*start, loop], after


def _after_loop(statement: ast.For | ast.While, region: _Region) -> list[ast.stmt]:
    """What follows a loop: passing a return on, and the loop's `else`."""
    after: list[ast.stmt] = []
    if region.uses_returned:
        test = expression(RETURNED, statement)
        after.append(located(ast.If(test, [_Returned(None)], []), statement))
    if not statement.orelse:
        return after
    if not region.uses_broken:
        return after + statement.orelse
    test = expression(f"not {region.broken}", statement.orelse[0])
    return [*after, located(ast.If(test, statement.orelse, []), statement.orelse[0])]


def _filled(body: list[ast.stmt], like: ast.AST) -> list[ast.stmt]:
    return body or [located(ast.Pass(), like)]


def _loop(statement: ast.For | ast.While, body: list[ast.stmt]) -> ast.stmt:
    if isinstance(statement, ast.While):
        return located(ast.While(statement.test, body, []), statement)
    return located(ast.For(statement.target, statement.iter, body, []), statement)


def _asking(statement: ast.While, body: list[ast.stmt], region: _Region) -> list[ast.stmt]:
    """A loop whose test assigns: `not broken and test` must not move it, so the body asks it."""
    going = f"{PREFIX}going_{region.loop}__"
    again = statements(f"{going} = not {region.broken}", statement)
    stop = statements(f"{going} = False", statement)
    ask = located(ast.If(statement.test, body + again, stop), statement)
    loop = located(ast.While(expression(going, statement), [ask], []), statement)
    return [*statements(f"{going} = True", statement), loop]
