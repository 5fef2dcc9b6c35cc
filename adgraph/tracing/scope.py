"""Which names a piece of Python source binds, and what else it does in its own scope.

Goes in: syntax trees of one function. Comes out: its `Scope` (parameters, locals, declared names)
and answers about parts of its body. Nothing here changes a tree. Begin with `own`, the walk which
stays inside one scope.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Function: TypeAlias = Definition | ast.Lambda
Tree = TypeVar("Tree", bound=ast.AST)

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
LOOPS = (ast.For, ast.AsyncFor, ast.While)
SUSPENSIONS = (ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith)

# Called by these bare names, the builtins look at the frame which calls them.
FRAME_READERS = {"locals": 0, "vars": 0, "dir": 0, "eval": None, "exec": None}


def own(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Walk the nodes which belong to the scope of `nodes`, not to inner functions and classes.

    A comprehension's targets are private to it and are left out; a walrus inside it is not.
    """
    waiting = [*nodes][::-1]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(_children(node)))


def _children(node: ast.AST) -> list[ast.AST]:
    """Parts of a node which are evaluated in the same scope as the node."""
    match node:
        case ast.Name() | ast.Constant():  # most nodes are
            return []
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [*node.decorator_list, *_defaults(node)]
        case ast.Lambda():
            return [*_defaults(node)]
        case ast.ClassDef():
            return [*node.decorator_list, *node.bases, *node.keywords]
        case ast.comprehension():
            return [node.iter, *node.ifs]
        case _:
            return [*ast.iter_child_nodes(node)]


def copied(node: Tree) -> Tree:
    """Copy a syntax tree; `copy.deepcopy` takes ten times as long."""
    new = type(node).__new__(type(node))
    new.__dict__.update({name: _copied_part(part) for name, part in node.__dict__.items()})
    return new


def _copied_part(part: Any) -> Any:
    if isinstance(part, ast.AST):
        return copied(part)
    return [_copied_part(item) for item in part] if isinstance(part, list) else part


def _defaults(node: Function) -> list[ast.expr]:
    return [*node.args.defaults, *(value for value in node.args.kw_defaults if value is not None)]


def bound(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names which `nodes` assign, delete, import or define in their own scope.

    >>> sorted(bound(ast.parse("for i in [k for k in x]: y, z[0] = (w := 1), 2").body))
    ['i', 'w', 'y']
    """
    return {name for node in own(nodes) for name in _binds(node)}


def _binds(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            return [name]
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.alias(name=name, asname=alias):
            return [alias or name.partition(".")[0]]
        case (
            ast.ExceptHandler(name=str(name))
            | ast.MatchAs(name=str(name))
            | ast.MatchStar(name=str(name))
            | ast.MatchMapping(rest=str(name))
        ):
            return [name]
        case _:
            return []


def leaves(node: ast.AST) -> bool:
    """Tell whether a return, or a break or continue of a loop around it, stands in a statement."""
    if isinstance(node, ast.Return | ast.Break | ast.Continue):
        return True
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return False
    if isinstance(node, LOOPS):
        return returns(node.body) or any(leaves(child) for child in node.orelse)
    return any(leaves(child) for child in ast.iter_child_nodes(node))


def returns(body: Iterable[ast.stmt]) -> bool:
    """Tell whether a return of the enclosing function stands anywhere in `body`."""
    return any(isinstance(node, ast.Return) for node in own(body))


def always_leaves(body: Iterable[ast.stmt]) -> bool:
    """Tell whether control cannot reach the end of `body`; False where that is not plain."""
    return any(_always_leaves(statement) for statement in body)


def _always_leaves(statement: ast.stmt) -> bool:
    match statement:
        case ast.Return() | ast.Break() | ast.Continue() | ast.Raise():
            return True
        case ast.If(body=body, orelse=orelse):
            return always_leaves(body) and always_leaves(orelse)
        case _:
            return False


def movable(expression: ast.expr) -> bool:
    """Tell whether an expression means the same inside a lambda: no walrus, no yield, no await.

    >>> [movable(ast.parse(text, mode="eval").body) for text in ("f(x)", "(y := 1)")]
    [True, False]
    """
    return not any(
        isinstance(node, (ast.NamedExpr, *SUSPENSIONS)) or _asynchronous(node)
        for node in own([expression])
    )


def _asynchronous(node: ast.AST) -> bool:
    return isinstance(node, ast.comprehension) and bool(node.is_async)


def reads_frame(node: ast.AST) -> bool:
    """Tell whether a node calls a builtin which looks at the calling frame, such as `locals()`."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=args) if name in FRAME_READERS:
            return FRAME_READERS[name] is None or len(args) == FRAME_READERS[name]
        case _:
            return False


def cleans_up_after_exit(node: ast.AST) -> bool:
    """Tell whether code runs when an exit leaves `node`; it may raise, which cancels the exit."""
    if isinstance(node, ast.Try | ast.TryStar):
        return bool(node.finalbody) and leaves(node)
    return isinstance(node, ast.With) and leaves(node)


def _overrides_exit(node: ast.AST) -> bool:
    """Tell whether exits meet there in a way which flags do not tell.

    An exit in a `finally` swallows exceptions and other exits. And a `with` may swallow an
    exception raised by what cleans up inside it, so that an exit on its way out is forgotten.
    """
    if isinstance(node, ast.Try | ast.TryStar):
        return any(leaves(inner) for inner in node.finalbody)
    if not isinstance(node, ast.With) or not leaves(node):
        return False
    return len(node.items) > 1 or any(cleans_up_after_exit(inner) for inner in own(node.body))


@dataclass(frozen=True)
class Scope:
    """The variables of one function, and whether its control flow must stay as Python has it.

    `variables` are its parameters, its `locals` and its `nonlocals`; `shared` are those which inner
    functions assign.
    """

    variables: frozenset[str]
    locals: frozenset[str]
    globals: frozenset[str]
    nonlocals: frozenset[str]
    shared: frozenset[str]
    first_parameter: str | None
    native: bool

    @classmethod
    def of(cls, function: Function) -> Scope:
        """Return the scope of a function as its user wrote it."""
        own_nodes = list(own(body_of(function)))
        globals_ = _declared(own_nodes, ast.Global)
        nonlocals = _declared(own_nodes, ast.Nonlocal)
        parameters = frozenset(_parameters(function.args))
        variables = (parameters | nonlocals | bound(body_of(function))) - globals_
        return cls(
            variables,
            variables - nonlocals - parameters,
            globals_,
            nonlocals,
            _assigned_by_inner(own_nodes) & variables,
            _first(function.args),
            _native(function, own_nodes),
        )

    def with_flags(self, flags: Iterable[str]) -> Scope:
        """Return the scope with further local variables."""
        more = frozenset(flags)
        return replace(self, variables=self.variables | more, locals=self.locals | more)

    def carried(self, nodes: Iterable[ast.AST]) -> list[str]:
        """Return the variables which running `nodes` may change, sorted.

        Inner functions may be called there, so what they assign by `nonlocal` always counts.
        """
        return sorted(bound(nodes) & self.variables | self.shared)


def body_of(function: Function) -> list[ast.stmt]:
    """Return the statements of a function; a lambda has one, its expression."""
    if isinstance(function, ast.Lambda):
        return [ast.Expr(function.body)]
    return function.body


def _parameters(arguments: ast.arguments) -> list[str]:
    stars = [star for star in (arguments.vararg, arguments.kwarg) if star is not None]
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [argument.arg for argument in [*named, *stars]]


def _first(arguments: ast.arguments) -> str | None:
    positional = [*arguments.posonlyargs, *arguments.args]
    return positional[0].arg if positional else None


def _declared(nodes: Iterable[ast.AST], kind: type[ast.Global | ast.Nonlocal]) -> frozenset[str]:
    return frozenset(name for node in nodes if isinstance(node, kind) for name in node.names)


def _assigned_by_inner(nodes: Iterable[ast.AST]) -> frozenset[str]:
    inner = [node for node in nodes if isinstance(node, (*FUNCTIONS, ast.ClassDef))]
    return _declared((node for outer in inner for node in ast.walk(outer)), ast.Nonlocal)


def _native(function: Function, own_nodes: list[ast.AST]) -> bool:
    """Suspended frames, frames that are looked at, and exits in `finally` cannot be taken apart."""
    return isinstance(function, ast.AsyncFunctionDef) or any(
        isinstance(node, SUSPENSIONS)
        or _asynchronous(node)
        or reads_frame(node)
        or _overrides_exit(node)
        for node in own_nodes
    )
