"""Pytrees: nested tuples, lists, dicts, namedtuples and dataclasses with arrays at the leaves.

`flatten` gives the leaves in order and a `Structure`, `unflatten` puts others in their place.
Whatever is no container is a leaf; `None` is an empty container. `Statements` writes Python code
that does the same for one structure.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Leaf:
    """A place for one leaf."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A container: its type, the keys of its items, and their structures."""

    type: Any
    keys: tuple[Any, ...]
    children: tuple[Structure, ...]


Structure = Leaf | Branch
LEAF = Leaf()


_LEAVES: set[type] = set()


def register_leaf(kind: type) -> None:
    """Declare that a dataclass is a leaf, not a container."""
    _LEAVES.add(kind)


def _items(x: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
    """Return the keys and items of a container, None for a leaf."""
    kind = type(x)
    if x is None:
        return (), ()
    if kind in _LEAVES:
        return None
    if kind is dict:
        return tuple(x), tuple(x.values())
    if kind in (tuple, list):
        return tuple(range(len(x))), tuple(x)
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return tuple(x._fields), tuple(x)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        names = tuple(f.name for f in dataclasses.fields(x))
        return names, tuple(getattr(x, name) for name in names)
    return None


def flatten(x: Any) -> tuple[list[Any], Structure]:
    """Return the leaves of a pytree and its structure.

    >>> flatten({"w": 1.0, "b": (2.0, None)})[0]
    [1.0, 2.0]
    """
    leaves: list[Any] = []
    return leaves, _structure(x, leaves)


def _structure(x: Any, leaves: list[Any]) -> Structure:
    items = _items(x)
    if items is None:
        leaves.append(x)
        return LEAF
    keys, children = items
    return Branch(type(x), keys, tuple(_structure(child, leaves) for child in children))


def matched(x: Any, structure: Structure) -> list[Any] | None:
    """Return the leaves of a pytree in the order of a structure, or None if it has another one.

    The keys of a dict may come in any order.
    """
    leaves: list[Any] = []
    return leaves if _match(x, structure, leaves) else None


def _match(x: Any, structure: Structure, leaves: list[Any]) -> bool:
    items = _items(x)
    if isinstance(structure, Leaf) or items is None:
        leaves.append(x)
        return isinstance(structure, Leaf) and items is None
    if type(x) is not structure.type or set(items[0]) != set(structure.keys):
        return False
    children = dict(zip(*items, strict=True))
    pairs = zip(structure.keys, structure.children, strict=True)
    return all(_match(children[key], child, leaves) for key, child in pairs)


Matcher = Callable[[Any], list[Any] | None]


def matcher(structure: Structure, leaf_types: Collection[type]) -> Matcher:
    """Compile a function that does what `matched` does for one structure, many times faster.

    It also gives None if a leaf is of none of the types: another function must look then. Dicts
    must have their keys in the order of the structure.

    >>> match = matcher(flatten((1.0, {"a": 2.0}))[1], {float})
    >>> match((3.0, {"a": 4.0})), match((3.0, 4.0)), match((3.0, {"b": 4.0}))
    ([3.0, 4.0], None, None)
    """
    text = Statements({"leaf_types": frozenset(leaf_types)})
    leaves = text.take_apart(structure, "x", "None")
    for leaf in leaves:
        text.refuse(f"type({leaf}) not in leaf_types", "None")
    text.add(f"return [{', '.join(leaves)}]")
    match: Matcher = text.function("match(x)")
    return match


class Statements:
    """The text of a Python function under construction; what it refers to is in `scope`.

    >>> text = Statements({})
    >>> text.take_apart(flatten((1.0, {"a": 2.0}))[1], "x", "None")
    ['x_0', 'x_1_0']
    """

    def __init__(self, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        """Add a statement."""
        self.lines.append(line)

    def refuse(self, condition: str, otherwise: str) -> None:
        """Return `otherwise` where a condition holds."""
        self.add(f"if {condition}: return {otherwise}")

    def name(self, name: str, value: Any) -> str:
        """Give a value a name in the scope."""
        self.scope[name] = value
        return name

    def take_apart(self, structure: Structure, name: str, otherwise: str) -> list[str]:
        """Name the leaves of the pytree `name`; return `otherwise` if it has another structure.

        Whether a leaf is a container is left to whoever looks at the leaves.
        """
        if isinstance(structure, Leaf):
            return [name]
        kind = structure.type
        parts = [f"{name}_{i}" for i in range(len(structure.keys))]
        targets = "".join(f"{part}, " for part in parts)
        if kind is type(None):
            self.refuse(f"{name} is not None", otherwise)
            return []
        self.refuse(f"type({name}) is not {self.name(f'kind_{name}', kind)}", otherwise)
        if issubclass(kind, (tuple, list)):
            self.refuse(f"len({name}) != {len(parts)}", otherwise)
            self.add(f"{targets}= {name}" if parts else "pass")
        elif kind is dict:
            keys = self.name(f"keys_{name}", structure.keys)
            self.refuse(f"tuple({name}) != {keys}", otherwise)
            self.add(f"{targets}= {name}.values()" if parts else "pass")
        else:
            for part, key in zip(parts, structure.keys, strict=True):
                self.add(f"{part} = {name}.{key}")
        pairs = zip(structure.children, parts, strict=True)
        return [leaf for child, part in pairs for leaf in self.take_apart(child, part, otherwise)]

    def put_together(self, structure: Structure, name: str, leaves: Iterator[str]) -> str:
        """Name a pytree made of the leaves of these names; return its name."""
        if isinstance(structure, Leaf):
            return next(leaves)
        kind = structure.type
        parts = [
            self.put_together(child, f"{name}_{i}", leaves)
            for i, child in enumerate(structure.children)
        ]
        items = "".join(f"{part}, " for part in parts)
        if kind is type(None):
            return "None"
        if kind is dict:
            keys = [self.name(f"key_{name}_{i}", key) for i, key in enumerate(structure.keys)]
            pairs = (f"{key}: {part}" for key, part in zip(keys, parts, strict=True))
            self.add(f"{name} = {{{', '.join(pairs)}}}")
        elif kind is tuple:
            self.add(f"{name} = ({items})")
        elif kind is list:
            self.add(f"{name} = [{items}]")
        elif issubclass(kind, tuple):
            self.add(f"{name} = {self.name(f'kind_{name}', kind)}({items})")
        else:
            made = self.name(f"made_{name}", functools.partial(_dataclass, kind, structure.keys))
            self.add(f"{name} = {made}(({items}))")
        return name

    def function(self, header: str) -> Callable[..., Any]:
        """Compile the function."""
        exec("\n    ".join((f"def {header}:", *self.lines)), self.scope)
        function: Callable[..., Any] = self.scope[header.partition("(")[0]]
        return function


def unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """Put leaves into a structure."""
    return _build(structure, iter(leaves))


def _build(structure: Structure, leaves: Iterator[Any]) -> Any:
    if isinstance(structure, Leaf):
        return next(leaves)
    items = [_build(child, leaves) for child in structure.children]
    kind = structure.type
    if kind is type(None):
        return None
    if kind is dict:
        return dict(zip(structure.keys, items, strict=True))
    if kind in (tuple, list):
        return kind(items)
    if issubclass(kind, tuple):
        return kind(*items)
    return _dataclass(kind, structure.keys, items)


def _dataclass(kind: Any, keys: tuple[Any, ...], items: Sequence[Any]) -> Any:
    """Build a dataclass without running its `__init__`, which may check for real arrays."""
    instance = object.__new__(kind)
    for key, item in zip(keys, items, strict=True):
        object.__setattr__(instance, key, item)
    return instance


def count(structure: Structure) -> int:
    """Return the number of leaves."""
    if isinstance(structure, Leaf):
        return 1
    return sum(map(count, structure.children))


def paths(structure: Structure, prefix: str = "") -> list[str]:
    """Return a readable path for every leaf, such as `params['w'][0]`."""
    if isinstance(structure, Leaf):
        return [prefix]
    found = []
    for key, child in zip(structure.keys, structure.children, strict=True):
        attribute = structure.type not in (tuple, list, dict)
        found += paths(child, f"{prefix}.{key}" if attribute else f"{prefix}[{key!r}]")
    return found
