"""Rewriting of one function's syntax tree: every operation a tracer must see becomes a hook.

Goes in: the tree of a function, exits and all. Comes out: the same function with calls, subscripts,
loops, branches and logic turned into calls on `__adgraph__`, a free variable that holds the hooks
(`Dispatch` in `source.py`). The bodies of loops and branches become inner functions that share its
variables. `expressions` does what is inside statements. Begin with `rewrite_function`.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from adgraph.tracing.exits import (
    PREFIX,
    Structured,
    expression,
    located,
    remove_exits,
    start_of,
    statements,
)
from adgraph.tracing.expressions import HOOKS, Expressions
from adgraph.tracing.lifetimes import Lifetimes, lifetimes
from adgraph.tracing.scope import (
    Definition,
    Scope,
    bound,
)

_INPLACE: dict[type[ast.operator], str] = {
    ast.Add: "iadd",
    ast.Sub: "isub",
    ast.Mult: "imul",
    ast.MatMult: "imatmul",
    ast.Div: "itruediv",
    ast.FloorDiv: "ifloordiv",
    ast.Mod: "imod",
    ast.Pow: "ipow",
    ast.LShift: "ilshift",
    ast.RShift: "irshift",
    ast.BitOr: "ior",
    ast.BitXor: "ixor",
    ast.BitAnd: "iand",
}


def rewrite_function(function: Definition) -> None:
    """Rewrite the body of a `def` in place; its decorators and defaults belong to its surroundings.

    >>> tree = ast.parse("def f(x): return g(x)[0]")
    >>> rewrite_function(tree.body[0])
    >>> print(ast.unparse(tree))
    def f(x):
        if False:
            __adgraph__
        return __adgraph__.getitem(__adgraph__.call(g, x), 0)
    """
    _rewrite_definition(function, itertools.count(1))


def _rewrite_definition(function: Definition, numbers: Iterator[int]) -> None:
    scope = Scope.of(function)
    structured = Structured(function.body, {}) if scope.native else remove_exits(function.body)
    scope = scope.with_flags(name for name in bound(structured.body) if name.startswith(PREFIX))
    always = scope.nonlocals | scope.shared
    lives = lifetimes(structured.body, structured.breaks, always)
    documented = ast.get_docstring(function, clean=False) is not None
    docstring, body = structured.body[:documented], structured.body[documented:]
    rewriter = _Rewriter(scope, numbers, breaks=structured.breaks, lives=lives)
    function.body = [*docstring, *_declarations(scope, function), *rewriter.block(body)]


def _declarations(scope: Scope, function: Definition) -> list[ast.stmt]:
    """Say which names are local, for inner functions may be all that assigns them."""
    lines = [f"nonlocal {', '.join(sorted(scope.nonlocals))}"] if scope.nonlocals else []
    lines += [f"global {', '.join(sorted(scope.globals))}"] if scope.globals else []
    lines += [f"if False:\n {HOOKS}"]
    lines += [f" {' = '.join(sorted(scope.locals))} = None"] if scope.locals else []
    lines += _shared(scope.globals, scope.nonlocals)
    return statements("\n".join(lines), start_of(function))


def _shared(globals_: Collection[str], nonlocals: Collection[str]) -> list[str]:
    """Announce that a function, or a block of one, assigns variables which are not its own."""
    lines = [f"{HOOKS}.storing({', '.join(map(repr, sorted(globals_)))})"] if globals_ else []
    listed = "".join(f"{name}, " for name in sorted(nonlocals))
    return [*lines, f"{HOOKS}.sharing(lambda: ({listed}))"] if nonlocals else lines


@dataclass
class _Rewriter(Expressions, ast.NodeTransformer):
    """The walk over the statements of one scope."""

    breaks: dict[ast.stmt, str] = field(default_factory=dict)
    lives: Lifetimes = field(default_factory=Lifetimes)

    # ---------------------------------------------------------------- blocks and names

    def block(self, body: Iterable[ast.stmt]) -> list[ast.stmt]:
        done: list[ast.stmt] = []
        for statement in body:
            new = self.visit(statement)
            done += new if isinstance(new, list) else [new]
        return done

    def fresh(self, role: str) -> str:
        return f"{PREFIX}{role}_{next(self.numbers)}__"

    def inner(
        self, role: str, parameter: str, body: list[ast.stmt], like: ast.AST
    ) -> tuple[ast.FunctionDef, ast.expr]:
        """Make a block into an inner function of this scope; return it and a reference to it."""
        name = self.fresh(role)
        names = bound(body)
        lines = [f"def {name}({parameter}):"]
        for keyword, declared in (
            ("nonlocal", names & self.scope.variables),
            ("global", names & self.scope.globals),
        ):
            lines += [f" {keyword} {', '.join(sorted(declared))}"] if declared else []
        lines += [f" {line}" for line in _shared(names & self.scope.globals, ())]
        (function,) = statements("\n".join([*lines, " pass"]), like)
        assert isinstance(function, ast.FunctionDef)
        visitor = replace(self, moved=True)
        function.body = [*function.body[:-1], *visitor.block(body)]
        return function, expression(name, like)

    def variables(self, names: list[str], node: ast.stmt, like: ast.AST) -> ast.expr:
        """Name variables without reading them: the hooks take the cells of this function.

        The defaults say which of them an iteration reads from the one before, and which are read
        behind the statement.
        """
        entering = _tuple(self.lives.entering.get(node, frozenset()) & set(names))
        leaving = _tuple(self.lives.leaving.get(node, frozenset()) & set(names))
        listed = f"({', '.join(names)}{',' if names else ''})"
        return expression(f"lambda entering={entering}, leaving={leaving}: {listed}", like)

    # ---------------------------------------------------------------- control flow

    def visit_For(self, node: ast.For) -> ast.AST | list[ast.stmt]:
        if self.scope.native:
            return self.native_for(node)
        carried = self.scope.carried([node.target, *node.body])
        item = self.fresh("item")
        body = [*statements(f"__target__ = {item}", node.target), *node.body]
        assert isinstance(body[0], ast.Assign)
        body[0].targets = [node.target]
        broken = self.breaks.get(node)
        if broken is not None:
            guard = located(ast.If(expression(f"not {broken}", node.iter), body, []), node.iter)
            self.lives.leaving[guard] = self.lives.entering[node] | self.lives.leaving[node]
            body = [guard]
            body += statements(f"return {broken}", node.iter)
        function, reference = self.inner("body", item, body, node.iter)
        variables = self.variables(carried, node, node.iter)
        arguments = [self.expression(node.iter), reference, variables]
        return [function, self.control("for_", arguments, node, node.iter)]

    def visit_While(self, node: ast.While) -> ast.AST | list[ast.stmt]:
        if self.scope.native:
            return self.generic_visit(node)
        carried = self.scope.carried([node.test, *node.body])
        like = node.test
        test = node.test
        broken = self.breaks.get(node)
        if broken is not None:
            test = ast.BoolOp(ast.And(), [expression(f"not {broken}", like), test])
            test = located(test, like)
        asked = located(ast.Return(test), like)
        asking, test_reference = self.inner("test", "", [asked], like)
        function, reference = self.inner("body", "", node.body, like)
        arguments = [test_reference, reference, self.variables(carried, node, like)]
        return [asking, function, self.control("while_", arguments, node, like)]

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if self.scope.native:
            return self.generic_visit(node)
        like = node.test
        carried = self.scope.carried([*node.body, *node.orelse])
        then, then_reference = self.inner("then", "", node.body, like)
        orelse = node.orelse or [located(ast.Pass(), like)]
        other, other_reference = self.inner("else", "", orelse, like)
        variables = self.variables(carried, node, like)
        arguments = [self.expression(node.test), then_reference, other_reference, variables]
        return [then, other, self.control("if_", arguments, node, like)]

    def control(
        self, name: str, arguments: list[ast.expr], node: ast.stmt, like: ast.expr
    ) -> ast.Expr:
        line = located(ast.Constant(node.lineno), like)
        return located(ast.Expr(self.hook(name, [*arguments, line], like)), like)

    def native_for(self, node: ast.For | ast.AsyncFor) -> ast.AST:
        if _stores_item(node.target):
            node.target, stores = self.through_temporary(node.target)
            node.body = [*stores, *node.body]
        return self.generic_visit(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.native_for(node)

    def visit_With(self, node: ast.With) -> ast.AST:
        return self.with_(node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.with_(node)

    def with_(self, node: ast.With | ast.AsyncWith) -> ast.AST:
        """Store `as x[k]` in the body; what stands after it in the header then nests."""
        for position, item in enumerate(node.items):
            if item.optional_vars is None or not _stores_item(item.optional_vars):
                continue
            item.optional_vars, stores = self.through_temporary(item.optional_vars)
            later = node.items[position + 1 :]
            body = [located(type(node)(later, node.body), node)] if later else node.body
            node.items = node.items[: position + 1]
            node.body = [*stores, *body]
            break
        return self.generic_visit(node)

    # ---------------------------------------------------------------- inner scopes

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self.definition(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self.definition(node)

    def definition(self, node: Definition) -> ast.AST:
        node.decorator_list = [self.expression(decorator) for decorator in node.decorator_list]
        self.defaults(node.args)
        _rewrite_definition(node, self.numbers)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return node

    def visit_TypeAlias(self, node: ast.AST) -> ast.AST:
        return node

    def visit_Global(self, node: ast.Global) -> ast.AST:
        return located(ast.Pass(), node)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        return located(ast.Pass(), node)

    # ---------------------------------------------------------------- stores

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.stmt]:
        if not any(_stores_item(target) for target in node.targets):
            return self.generic_visit(node)
        value = self.expression(node.value)
        if len(node.targets) == 1 and isinstance(node.targets[0], ast.Subscript):
            return self.store(node.targets[0], value)
        if len(node.targets) == 1 and isinstance(value, ast.Name):
            return self.assign(node.targets[0], value)
        temporary = self.fresh("value")
        done = [_assignment(temporary, value, node)]
        for target in node.targets:
            done += self.assign(target, expression(temporary, target))
        return [*done, *statements(f"del {temporary}", node)]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | list[ast.stmt]:
        """Annotations in functions are not evaluated, and a nonlocal name must not have one."""
        if node.value is not None:
            return self.visit_Assign(located(ast.Assign([node.target], node.value), node))
        if isinstance(node.target, ast.Name):
            return located(ast.Pass(), node)
        node.annotation = located(ast.Constant(None), node.annotation)
        return self.generic_visit(node)

    def assign(self, target: ast.expr, value: ast.expr) -> list[ast.stmt]:
        """Assign a value at hand to a target not visited yet, in Python's order."""
        if isinstance(target, ast.Subscript):
            return [self.store(target, value)]
        if not _stores_item(target):
            return [located(ast.Assign([self.expression(target)], value), target)]
        assert isinstance(target, ast.Tuple | ast.List)
        names = [self.fresh("part") for _ in target.elts]
        unpacked = [
            f"*{name}" if isinstance(element, ast.Starred) else name
            for name, element in zip(names, target.elts, strict=True)
        ]
        (unpack,) = statements(f"({', '.join(unpacked)},) = __value__", target)
        assert isinstance(unpack, ast.Assign)
        unpack.value = value
        done: list[ast.stmt] = [unpack]
        for name, element in zip(names, target.elts, strict=True):
            inner = element.value if isinstance(element, ast.Starred) else element
            done += self.assign(inner, expression(name, inner))
            done += statements(f"del {name}", inner)
        return done

    def store(self, target: ast.Subscript, value: ast.expr) -> ast.stmt:
        """`value` is evaluated before the object and the key, as in Python."""
        key = self.key(target.slice)
        call = self.hook("store", [value, self.expression(target.value), key], target)
        return located(ast.Expr(call), target)

    def through_temporary(self, target: ast.expr) -> tuple[ast.expr, list[ast.stmt]]:
        """Return a temporary as the target, and what then stores it; neither is visited yet."""
        name = self.fresh("value")
        (store,) = statements(f"__target__ = {name}", target)
        assert isinstance(store, ast.Assign)
        store.targets = [target]
        replaced = located(ast.Name(name, ast.Store()), target)
        return replaced, [store, *statements(f"del {name}", target)]

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST | list[ast.stmt]:
        target = node.target
        if isinstance(target, ast.Name):
            name = expression(target.id, target)
            asked = located(ast.Expr(self.hook("augmenting", [name], node)), node)
            self.generic_visit(node)
            return [asked, node]
        if not isinstance(target, ast.Subscript):
            return self.generic_visit(node)
        obj = self.expression(target.value)
        key = self.key(target.slice)
        if self.thunkable(node.value):
            operator = located(ast.Constant(_INPLACE[type(node.op)]), node)
            value = self.thunk(node.value)
            call = self.hook("augmented", [operator, obj, key, value], node)
            return located(ast.Expr(call), node)
        names = [self.fresh("object"), self.fresh("key"), self.fresh("value")]
        held, at, value_name = (expression(name, node) for name in names)
        update = ast.AugAssign(
            ast.Name(names[2], ast.Store()), node.op, self.expression(node.value)
        )
        return [
            _assignment(names[0], obj, node),
            _assignment(names[1], key, node),
            _assignment(names[2], self.hook("getitem", [held, at], target), node),
            located(update, node),
            located(ast.Expr(self.hook("store", [value_name, held, at], target)), node),
            *statements(f"del {', '.join(names)}", node),
        ]

    def visit_Try(self, node: ast.Try) -> ast.AST:
        return self.attempt(node)

    def visit_TryStar(self, node: ast.TryStar) -> ast.AST:
        return self.attempt(node)

    def attempt(self, node: ast.Try | ast.TryStar) -> ast.AST:
        """Run the body in a context, so that the hooks know of the `try` around it."""
        self.generic_visit(node)
        context = ast.withitem(self.hook("attempt", [], node))
        node.body = [located(ast.With([context], node.body), start_of(node))]
        for handler in node.handlers:
            first = handler.body[0]
            told = located(ast.Expr(self.hook("caught", [], first)), first)
            handler.body = [told, *handler.body]
        return node


def _tuple(names: Iterable[str]) -> str:
    return repr(tuple(sorted(names)))


def _assignment(name: str, value: ast.expr, like: ast.AST) -> ast.stmt:
    return located(ast.Assign([ast.Name(name, ast.Store())], value), like)


def _stores_item(target: ast.expr) -> bool:
    """Tell whether a target stores by subscript, itself or in a part of it."""
    match target:
        case ast.Subscript():
            return True
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return any(_stores_item(element) for element in elements)
        case ast.Starred(value=value):
            return _stores_item(value)
        case _:
            return False
