"""Functions of a user, rebuilt from their source so that hooks see what NumPy does not dispatch.

Goes in: a Python function and an object with the hooks. Comes out: a function with the same
globals, closure cells, defaults, names and lines which does its calls, subscripts, loops, branches
and logic through the hooks; or None where there is no source. Begin with `rewrite`; `rewriting.py`
changes the syntax trees.
"""

from __future__ import annotations
import __future__

import ast
import functools
import itertools
import linecache
import re
import types
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import CellType, CodeType, FunctionType
from typing import Any, Protocol, TypeAlias

from adgraph.tracing.exits import PREFIX, located, statements
from adgraph.tracing.expressions import HOOKS, rewrite_lambda
from adgraph.tracing.rewriting import rewrite_function
from adgraph.tracing.scope import Function, copied

Thunk: TypeAlias = Callable[[], Any]

_FACTORY = f"{PREFIX}factory__"
_FUNCTION = f"{PREFIX}function__"
_FUTURE_FLAGS = functools.reduce(
    int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)


class Undefined:
    """The value of a variable which is not bound."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<unbound>"


UNDEFINED = Undefined()


@dataclass(frozen=True)
class Variables:
    """The variables that a loop or a branch may change.

    Those in `entering` are read by an iteration from the one before, those in `leaving` behind the
    statement; what the others hold there does not matter. Names which begin with `__adgraph_` are
    the result and the flags of return, break and continue.
    """

    names: tuple[str, ...]
    cells: tuple[CellType, ...]
    entering: frozenset[str]
    leaving: frozenset[str]

    @staticmethod
    def of(reads: FunctionType) -> Variables:
        """Turn `lambda entering=(...), leaving=(...): (x, y)` into access to x and y."""
        entering, leaving = map(frozenset, reads.__defaults__ or ((), ()))
        return Variables(reads.__code__.co_freevars, reads.__closure__ or (), entering, leaving)

    @staticmethod
    def one(name: str, value: Any = UNDEFINED) -> Variables:
        """Return a variable that no function has, carried from trip to trip and read behind."""
        variables = Variables((name,), (CellType(),), frozenset({name}), frozenset({name}))
        variables.set((value,))
        return variables

    @property
    def leave(self) -> bool:
        """Whether the statement may leave a loop or the function: flags guard what follows."""
        return any(name.startswith(PREFIX) for name in self.names)

    def get(self) -> tuple[Any, ...]:
        """Return the values, UNDEFINED for what is not bound."""
        return tuple(map(contents, self.cells))

    def set(self, values: Iterable[Any]) -> None:
        """Put such values back."""
        for cell, value in zip(self.cells, values, strict=True):
            if value is not UNDEFINED:
                cell.cell_contents = value
            elif contents(cell) is not UNDEFINED:
                del cell.cell_contents


def contents(cell: CellType) -> Any:
    """Return the value of a variable of Python's, UNDEFINED if it is not bound."""
    try:
        return cell.cell_contents
    except ValueError:
        return UNDEFINED


class Hooks(Hashable, Protocol):
    """What rewritten code calls in place of Python's own operations: a module or an object."""

    def call(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Do `f(*args, **kwargs)`."""

    def getitem(self, obj: Any, key: Any, /) -> Any:
        """Do `obj[key]`."""

    def setitem(self, obj: Any, key: Any, value: Any, /) -> None:
        """Do `obj[key] = value`."""

    def augmented(self, op_name: str, obj: Any, key: Any, value: Thunk, /) -> None:
        """Do `obj[key] op= value()` with `operator.op_name`: load, ask for the value, store."""

    def for_(
        self,
        iterable: Iterable[Any],
        body: Callable[[Any], Any],
        variables: Variables,
        line: int,
        /,
    ) -> None:
        """Do `body(x)` for each x until it returns a true value: the flag of a `break`.

        The body does nothing when the flag is set already, so a traced flag may be ignored.
        """

    def while_(self, test: Thunk, body: Thunk, variables: Variables, line: int, /) -> None:
        """Do `body()` while `test()`; the test knows of `break`."""

    def if_(
        self,
        condition: Any,
        then: Thunk,
        orelse: Thunk,
        variables: Variables,
        line: int,
        /,
    ) -> None:
        """Do `then()` if `condition` is true, else `orelse()`."""

    def if_expression(self, condition: Any, then: Thunk, orelse: Thunk, /) -> Any:
        """Return `then() if condition else orelse()`."""

    def and_(self, *operands: Thunk) -> Any:
        """Return the first `operand()` that is false, or the last; each is called at most once."""

    def or_(self, *operands: Thunk) -> Any:
        """Return the first `operand()` that is true, or the last; each is called at most once."""

    def not_(self, value: Any, /) -> Any:
        """Return `not value`."""

    def attribute(self, obj: Any, name: str, /) -> Any:
        """Return `obj.shape` or `obj.size`."""

    def made(self, obj: Any, /) -> Any:
        """Return a mutable object just made."""

    def changing(self, obj: Any, /) -> Any:
        """Return an object of which an attribute or item is then stored or deleted."""

    def augmenting(self, obj: Any, /) -> None:
        """Be told of a value to which an augmented assignment of a name is then applied."""

    def storing(self, *names: str) -> None:
        """Be told that a function or block begins which assigns global variables."""

    def sharing(self, variables: Variables, /) -> None:
        """Be told that a function begins which assigns variables of a function around it."""

    def attempt(self) -> AbstractContextManager[None]:
        """Return a context in which the body of a `try` runs."""

    def caught(self) -> None:
        """Note that a handler of a `try` begins."""


class Dispatch:
    """What `__adgraph__` is in rewritten code: the hooks, in the form the code can call them."""

    def __init__(self, hooks: Hooks) -> None:
        self.call = hooks.call
        self.getitem = hooks.getitem
        self.augmented = hooks.augmented
        self.if_expression = hooks.if_expression
        self.and_ = hooks.and_
        self.or_ = hooks.or_
        self.not_ = hooks.not_
        self.attribute = hooks.attribute
        self.made = hooks.made
        self.changing = hooks.changing
        self.augmenting = hooks.augmenting
        self.attempt = hooks.attempt
        self.storing = hooks.storing
        self.caught = hooks.caught
        self.slice = slice
        self._hooks = hooks

    def store(self, value: Any, obj: Any, key: Any) -> None:
        """Do `obj[key] = value`; Python evaluates the value first."""
        self._hooks.setitem(obj, key, value)

    def for_(
        self, iterable: Iterable[Any], body: Callable[[Any], Any], reads: FunctionType, line: int
    ) -> None:
        """Do a `for`; `reads` is a lambda that names the variables it may change."""
        self._hooks.for_(iterable, body, Variables.of(reads), line)

    def while_(self, test: Thunk, body: Thunk, reads: FunctionType, line: int) -> None:
        """Do a `while`."""
        self._hooks.while_(test, body, Variables.of(reads), line)

    def if_(
        self, condition: Any, then: Thunk, orelse: Thunk, reads: FunctionType, line: int
    ) -> None:
        """Do an `if`."""
        self._hooks.if_(condition, then, orelse, Variables.of(reads), line)

    def sharing(self, reads: FunctionType) -> None:
        """Tell of the variables that `reads` names."""
        self._hooks.sharing(Variables.of(reads))

    def chain(self, first: Any, *links: Callable[..., Any]) -> Any:
        """Do `first < b < c`; the links are `lambda: b`, `lambda left, right: left < right`, ..."""
        operands = [first]

        def compared(operand: Thunk, compare: Callable[[Any, Any], Any]) -> Any:
            operands.append(operand())
            return compare(operands[-2], operands[-1])

        pairs = zip(links[::2], links[1::2], strict=True)
        return self.and_(*(functools.partial(compared, *pair) for pair in pairs))


def is_rewritten(function: object) -> bool:
    """Tell whether a function is one that `rewrite` made, or was defined inside one."""
    return isinstance(function, FunctionType) and HOOKS in function.__code__.co_freevars


def rewrite(function: Callable[..., Any], hooks: Hooks) -> Callable[..., Any] | None:
    """Return `function` with its operations done by `hooks`, or None if it has no Python source.

    Methods stay bound and partials stay partial. A function that is rewritten already is returned
    as it is. Control flow and logic stay Python's (calls and subscripts do not) in a generator, in
    a coroutine, in a function that reads its own frame (`locals()`, `eval`), and in one with an
    exit in a `finally` or in several `with`.

    >>> class Doubling(Dispatch):
    ...     def __init__(self): pass
    ...     def __getattr__(self, name): return lambda *operands: None
    ...     def call(self, f, *args): return 2 * f(*args)
    >>> def length(x):
    ...     return len(x)
    >>> rewrite(length, Doubling())([1, 2, 3]), rewrite(len, Doubling())
    (6, None)
    """
    if type(function) is functools.partial:
        inner = rewrite(function.func, hooks)
        return inner and functools.partial(inner, *function.args, **function.keywords)
    if isinstance(function, types.MethodType):
        inner = rewrite(function.__func__, hooks)
        return inner and types.MethodType(inner, function.__self__)
    if not isinstance(function, FunctionType) or is_rewritten(function):
        return function if is_rewritten(function) else None
    original = function.__code__
    linecache.lazycache(original.co_filename, function.__globals__)
    code = _rewritten_code(original, original.co_filename, original.co_qualname)
    return None if code is None else _rebuilt(function, code, _dispatch(hooks))


def _rebuilt(function: FunctionType, code: CodeType, hooks: CellType) -> FunctionType:
    """Join new code with the globals, cells and attributes of the function it was made from."""
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cells[HOOKS] = hooks
    closure = tuple(cells[name] for name in code.co_freevars)
    new = FunctionType(
        code, function.__globals__, function.__name__, function.__defaults__, closure
    )
    functools.update_wrapper(new, function)
    new.__kwdefaults__ = function.__kwdefaults__
    return new


@functools.lru_cache(maxsize=16)
def _dispatch(hooks: Hooks) -> CellType:
    return CellType(Dispatch(hooks))


@functools.lru_cache(maxsize=4096)
def _rewritten_code(code: CodeType, filename: str, qualname: str) -> CodeType | None:
    """Return the code with hooks; equal code may come from two files or classes."""
    for node in _candidates(code, filename):
        plain = _compiled(copied(node), code, filename, qualname)
        if not _same_source(plain, code, node):
            continue
        new = copied(node)
        if isinstance(new, ast.Lambda):
            rewrite_lambda(new, itertools.count(1))
            never = located(ast.Name(HOOKS, ast.Load()), new.body)
            new.body = located(ast.IfExp(ast.Constant(True), new.body, never), new.body)
        else:
            rewrite_function(new)
        return _compiled(new, code, filename, qualname)
    return None


# -------------------------------------------------------------------- finding the source


def _candidates(code: CodeType, filename: str) -> Iterator[Function]:
    """Yield the definitions in a file that begin where the code does and have its name."""
    linecache.checkcache(filename)
    tree = _tree("".join(linecache.getlines(filename)))
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Lambda) and code.co_name == "<lambda>":
            if node.lineno == code.co_firstlineno:
                yield node
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == code.co_name:
            first = node.decorator_list[0] if node.decorator_list else node
            if first.lineno == code.co_firstlineno:
                yield node


@functools.lru_cache(maxsize=32)
def _tree(source: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except SyntaxError:
            return None


def _same_source(plain: CodeType, code: CodeType, node: Function) -> bool:
    """Tell whether the code was compiled from a definition; the file may have changed since.

    A lambda must agree in every column: several may stand on one line. (Its instructions may
    differ: Python calls a method of a module the file imports in another way.) A `def` may hold
    more than its source says (import hooks add checks); with an assert, which pytest rewrites,
    anything goes.
    """
    if isinstance(node, ast.Lambda):
        same_columns = set(plain.co_positions()) == set(code.co_positions())
        return same_columns and _marks(plain) == _marks(code)
    if any(isinstance(inner, ast.Assert) for inner in ast.walk(node)):
        return True
    return _marks(plain) <= _marks(code)


def _marks(code: CodeType) -> set[str]:
    """Return the names and constants of a code object and of those in it."""
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    constants = (repr(constant) for constant in code.co_consts if constant not in inner)
    marks = {*code.co_names, *code.co_varnames, *code.co_freevars, *constants}
    return marks.union(*(_marks(function) for function in inner))


# -------------------------------------------------------------------- compiling


def _compiled(node: Function, code: CodeType, filename: str, qualname: str) -> CodeType:
    """Compile a definition whose free variables are those of `code`, and the hooks."""
    free = ", ".join([HOOKS, *code.co_freevars])
    (factory,) = statements(f"def {_FACTORY}({free}): pass", node)
    assert isinstance(factory, ast.FunctionDef)
    factory.body = [_stripped(node)]
    outer: list[ast.stmt] = [factory]
    owner = _owner(qualname)
    if owner is not None:
        outer = statements(f"class {owner}: pass", node)
        assert isinstance(outer[0], ast.ClassDef)
        outer[0].body = [factory]
    flags = code.co_flags & _FUTURE_FLAGS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = compile(ast.Module(outer, []), filename, "exec", flags, dont_inherit=True)
    holder = _inner_code(module) if owner is None else _inner_code(_inner_code(module))
    compiled = _inner_code(holder)
    return _restored(compiled, compiled.co_qualname, qualname).replace(co_name=code.co_name)


def _inner_code(code: CodeType) -> CodeType:
    return next(constant for constant in code.co_consts if isinstance(constant, CodeType))


def _stripped(node: Function) -> ast.stmt:
    """Drop what was evaluated at the definition; a decorator keeps the first line where it is.

    The name goes too: in the factory it would hide the global of that name, which recursion means.
    """
    arguments = node.args
    nothing = located(ast.Constant(None), node)
    arguments.defaults = [nothing for _ in arguments.defaults]
    arguments.kw_defaults = [value and nothing for value in arguments.kw_defaults]
    if isinstance(node, ast.Lambda):
        return located(ast.Return(node), node)
    for argument in ast.walk(arguments):
        if isinstance(argument, ast.arg):
            argument.annotation = None
    node.returns = None
    node.name = _FUNCTION
    node.decorator_list = [
        located(ast.Constant(None), decorator) for decorator in node.decorator_list[:1]
    ]
    if hasattr(node, "type_params"):
        node.type_params = []
    return node


def _owner(qualname: str) -> str | None:
    """Return the innermost class around a function: it mangles names such as `__x`."""
    parts = qualname.split(".")
    for name, inside in reversed(list(itertools.pairwise(parts))):
        if "<" not in name and inside != "<locals>":
            return name
    return None


def _restored(code: CodeType, root: str, qualname: str) -> CodeType:
    """Give code, compiled under the name `root`, the names it has in the user's file.

    Blocks that became functions are called like the function they stand in.
    """
    name = _in_file(code.co_qualname, root, qualname)
    constants: list[object] = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            constants.append(_restored(constant, root, qualname))
        elif isinstance(constant, str) and constant == code.co_qualname:
            constants.append(name)  # a class stores its own name
        else:
            constants.append(constant)
    short = name.rpartition(".")[2] if code.co_name.startswith(PREFIX) else code.co_name
    return code.replace(co_name=short, co_qualname=name, co_consts=tuple(constants))


def _in_file(compiled: str, root: str, qualname: str) -> str:
    if compiled.startswith(root):
        compiled = qualname + compiled.removeprefix(root)
    return re.sub(rf"\.<locals>\.{PREFIX}\w+", "", compiled)
