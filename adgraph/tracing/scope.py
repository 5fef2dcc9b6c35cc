"""Which names a piece of Python source binds, and what else it does in its own scope.

Goes in: syntax trees of one function. Comes out: its `Scope` (parameters, locals, declared names) and
answers about parts of its body. Nothing here changes a tree. Begin with `own`, the walk which stays
inside one scope.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Function: TypeAlias = Definition | ast.Lambda

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
LOOPS = (ast.For, ast.AsyncFor, ast.While)
SUSPENSIONS = (ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith)

# Called by these bare names, the builtins look at the frame which calls them.
FRAME_READERS = {"locals": 0, "vars": 0, "dir": 0, "eval": None, "exec": None}


def own(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Walk the nodes which belong to the scope of `nodes`, not those of inner functions and classes.

    A comprehension's targets are private to it and are left out; a walrus inside it is not.
    """
    for node in nodes:
        yield node
        yield from own(_children(node))


def _children(node: ast.AST) -> Iterable[ast.AST]:
    """Parts of a node which are evaluated in the same scope as the node."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [*node.decorator_list, *_defaults(node)]
        case ast.Lambda():
            return _defaults(node)
        case ast.ClassDef():
            return [*node.decorator_list, *node.bases, *node.keywords]
        case ast.comprehension():
            return [node.iter, *node.ifs]
        case _:
            return ast.iter_child_nodes(node)


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
    """Tell whether a statement may end its block: a return, or a break or continue of a loop around it."""
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
    """Tell whether control certainly does not reach the end of `body` (never said without proof)."""
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

    >>> movable(ast.parse("f(x)", mode="eval").body), movable(ast.parse("(y := 1)", mode="eval").body)
    (True, False)
    """
    return not any(
        isinstance(node, (ast.NamedExpr, *SUSPENSIONS)) or _asynchronous(node)
        for node in own([expression])
    )


def _asynchronous(node: ast.AST) -> bool:
    return isinstance(node, ast.comprehension) and bool(node.is_async)


def reads_frame(node: ast.AST) -> bool:
    """Tell whether a node calls a builtin which looks at the calling frame (`locals()`, `eval(...)`)."""
    match node:
        case ast.Call(func=ast.Name(id=name), args=args) if name in FRAME_READERS:
            return FRAME_READERS[name] is None or len(args) == FRAME_READERS[name]
        case _:
            return False


def _overrides_exit(node: ast.AST) -> bool:
    """An exit in a `finally` swallows exceptions and other exits: flags cannot say that."""
    return isinstance(node, ast.Try | ast.TryStar) and any(leaves(x) for x in node.finalbody)


@dataclass(frozen=True)
class Scope:
    """The variables of one function, and whether its control flow must stay as Python has it."""

    variables: frozenset[str]
    undeclared: tuple[str, ...]
    globals: frozenset[str]
    nonlocals: frozenset[str]
    shared: frozenset[str]
    first_parameter: str | None
    native: bool

    @classmethod
    def of(cls, function: Function, body: Iterable[ast.stmt] = ()) -> Scope:
        """Return the scope of a function; `body` is what its own body was turned into, if anything."""
        own_nodes = list(own(body_of(function)))
        globals_ = _declared(own_nodes, ast.Global)
        nonlocals = _declared(own_nodes, ast.Nonlocal)
        parameters = _parameters(function.args)
        assigned = bound(body_of(function)) | bound(body)
        variables = (assigned | nonlocals | set(parameters)) - globals_
        return cls(
            frozenset(variables),
            tuple(sorted(variables - nonlocals - set(parameters))),
            globals_,
            nonlocals,
            _assigned_by_inner(own_nodes) & variables,
            _first(function.args),
            _native(function, own_nodes),
        )

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


def _declared(
    nodes: Iterable[ast.AST], kind: type[ast.Global] | type[ast.Nonlocal]
) -> frozenset[str]:
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
