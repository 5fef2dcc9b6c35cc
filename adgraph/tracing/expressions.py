"""Rewriting of expressions: calls, subscripts, attributes and logic become calls of hooks.

Goes in: an expression of a function. Comes out: the same expression on `__adgraph__`, a free
variable that holds the hooks (`Dispatch` in `source.py`). `rewriting` does statements. Begin with
`rewrite_lambda`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from adgraph.tracing.exits import (
    expression,
    located,
    start_of,
)
from adgraph.tracing.scope import (
    Scope,
    movable,
    reads_frame,
)

HOOKS = "__adgraph__"

# Attributes of arrays that a loop index may have a part in.
_EXTENTS = frozenset({"shape", "size"})

# Called by these bare names, the builtins mean the calling frame: they stay as they are.
_BARE = frozenset({"super", "globals"})


def rewrite_lambda(function: ast.Lambda, numbers: Iterator[int]) -> None:
    """Rewrite the body of a lambda in place."""
    function.body = Expressions(Scope.of(function), numbers).expression(function.body)


@dataclass
class Expressions(ast.NodeTransformer):
    """The walk over the expressions of one scope, whose new names have `numbers`.

    `moved` says that it is inside what becomes an inner function.
    """

    scope: Scope
    numbers: Iterator[int]
    moved: bool = False

    def expression(self, node: ast.expr) -> ast.expr:
        """Rewrite an expression."""
        new = self.visit(node)
        assert isinstance(new, ast.expr)
        return new

    def hook(self, name: str, arguments: Sequence[ast.expr], like: ast.expr | ast.stmt) -> ast.Call:
        """Call a hook."""
        return located(ast.Call(_hook(name, like), list(arguments), []), like)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        """Rewrite the body, which is a scope of its own."""
        self.defaults(node.args)
        rewrite_lambda(node, self.numbers)
        return node

    def defaults(self, arguments: ast.arguments) -> None:
        """Rewrite defaults, which belong to the surroundings."""
        arguments.defaults = [self.expression(value) for value in arguments.defaults]
        arguments.kw_defaults = [
            None if value is None else self.expression(value) for value in arguments.kw_defaults
        ]

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Leave f-strings as they are."""
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Call through a hook."""
        if isinstance(node.func, ast.Name) and (node.func.id in _BARE or reads_frame(node)):
            return self.frame_call(node)
        self.generic_visit(node)
        _report_at_method_name(node)
        return located(ast.Call(_hook("call", node), [node.func, *node.args], node.keywords), node)

    def frame_call(self, node: ast.Call) -> ast.AST:
        """Leave the call; but in an inner function of ours `super()` must name what it means."""
        self.generic_visit(node)
        bare = not node.args and not node.keywords
        first = self.scope.first_parameter
        is_super = isinstance(node.func, ast.Name) and node.func.id == "super"
        if is_super and bare and self.moved and first is not None:
            node.args = [expression("__class__", node), expression(first, node)]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Stores are announced; what an array tells of its extents goes through a hook."""
        node.value = self.expression(node.value)
        if not isinstance(node.ctx, ast.Load):
            node.value = self.hook("changing", [node.value], node.value)
            return node
        if node.attr not in _EXTENTS:
            return node
        name = located(ast.Constant(node.attr), node)
        return self.hook("attribute", [node.value, name], node)

    def visit_List(self, node: ast.List) -> ast.AST:
        """Announce a list; the target of an assignment is none."""
        self.generic_visit(node)
        return self.hook("made", [node], node) if isinstance(node.ctx, ast.Load) else node

    def made(self, node: ast.expr) -> ast.AST:
        """Announce a mutable object: a captured body may change what it has made itself."""
        visited = self.generic_visit(node)
        assert isinstance(visited, ast.expr)
        return self.hook("made", [visited], node)

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        """Announce a dict."""
        return self.made(node)

    def visit_Set(self, node: ast.Set) -> ast.AST:
        """Announce a set."""
        return self.made(node)

    def visit_ListComp(self, node: ast.ListComp) -> ast.AST:
        """Announce a list."""
        return self.made(node)

    def visit_SetComp(self, node: ast.SetComp) -> ast.AST:
        """Announce a set."""
        return self.made(node)

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:
        """Announce a dict."""
        return self.made(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """Read an item through a hook; stores are statements."""
        if isinstance(node.ctx, ast.Del):
            self.generic_visit(node)
            node.value = self.hook("changing", [node.value], node.value)
            return node
        if not isinstance(node.ctx, ast.Load):
            return self.generic_visit(node)
        return self.hook("getitem", [self.expression(node.value), self.key(node.slice)], node)

    def key(self, node: ast.expr) -> ast.expr:
        """A key as an expression: slices become `slice` objects."""
        if isinstance(node, ast.Slice):
            parts = [
                located(ast.Constant(None), node) if part is None else self.expression(part)
                for part in (node.lower, node.upper, node.step)
            ]
            return self.hook("slice", parts, node)
        if isinstance(node, ast.Tuple):
            return located(ast.Tuple([self.key(part) for part in node.elts], ast.Load()), node)
        return self.expression(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        """Give the operands of `and` and `or` unevaluated."""
        if not all(self.thunkable(value) for value in node.values):
            return self.generic_visit(node)
        name = "and_" if isinstance(node.op, ast.And) else "or_"
        return self.hook(name, [self.thunk(value) for value in node.values], node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        """Negate through a hook."""
        if not isinstance(node.op, ast.Not):
            return self.generic_visit(node)
        return self.hook("not_", [self.expression(node.operand)], node)

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        """Give both choices unevaluated."""
        if not (self.thunkable(node.body) and self.thunkable(node.orelse)):
            return self.generic_visit(node)
        test = self.expression(node.test)
        branches = [self.thunk(node.body), self.thunk(node.orelse)]
        return self.hook("if_expression", [test, *branches], node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Chain comparisons through a hook, which evaluates no more than it must."""
        if len(node.ops) == 1 or not all(self.thunkable(other) for other in node.comparators):
            return self.generic_visit(node)
        arguments = [self.expression(node.left)]
        for operator, other in zip(node.ops, node.comparators, strict=True):
            compare = expression("lambda left, right: left == right", node)
            assert isinstance(compare, ast.Lambda)
            assert isinstance(compare.body, ast.Compare)
            compare.body.ops = [operator]
            arguments += [self.thunk(other), compare]
        return self.hook("chain", arguments, node)

    def thunkable(self, node: ast.expr) -> bool:
        """Tell whether an expression may be delayed."""
        return not self.scope.native and movable(node)

    def thunk(self, node: ast.expr) -> ast.expr:
        """Delay an expression. `super()` in it is then in another frame."""
        function = expression("lambda: None", node)
        assert isinstance(function, ast.Lambda)
        function.body = replace(self, moved=True).expression(node)
        return function


def _hook(name: str, like: ast.expr | ast.stmt) -> ast.expr:
    """Refer to a hook; of no extent, for a call of `a.b` is reported where `a.b` ends."""
    return expression(f"{HOOKS}.{name}", start_of(like))


def _report_at_method_name(call: ast.Call) -> None:
    """Move a call's beginning to the line of the method's name, where Python reports it."""
    match call.func:
        case ast.Attribute(end_lineno=int(line), end_col_offset=int(end)) if line != call.lineno:
            call.lineno = line
            call.col_offset = max(0, end - len(call.func.attr))
        case _:
            pass
