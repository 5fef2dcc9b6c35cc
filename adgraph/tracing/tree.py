"""Pytrees: nested tuples, lists, dicts, namedtuples and dataclasses with arrays at the leaves.

`flatten` gives the leaves in order and a `Tree` that puts others in their place. Whatever is no
container is a leaf; `None` is an empty container.
"""

from __future__ import annotations

import dataclasses
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
    scope: dict[str, Any] = {"leaf_types": frozenset(leaf_types)}
    lines: list[str] = []
    leaves: list[str] = []
    _match_lines(structure, "x", scope, lines, leaves)
    body = "\n".join(f"    {line}" for line in lines)
    exec(f"def match(x):\n{body}\n    return [{', '.join(leaves)}]", scope)
    match: Matcher = scope["match"]
    return match


def _match_lines(
    structure: Structure, name: str, scope: dict[str, Any], lines: list[str], leaves: list[str]
) -> None:
    """Write the statements that check the value `name` and name its parts."""
    if isinstance(structure, Leaf):
        lines.append(f"if type({name}) not in leaf_types: return None")
        leaves.append(name)
        return
    kind = f"kind_{name}"
    scope[kind] = structure.type
    lines.append(f"if type({name}) is not {kind}: return None")
    if issubclass(structure.type, (tuple, list)):
        lines.append(f"if len({name}) != {len(structure.keys)}: return None")
    if structure.type is dict:
        scope[f"keys_{name}"] = structure.keys
        lines.append(f"if tuple({name}) != keys_{name}: return None")
    for i, (key, child) in enumerate(zip(structure.keys, structure.children, strict=True)):
        part = f"{name}_{i}"
        if structure.type in (tuple, list, dict):
            scope[f"key_{part}"] = key
            lines.append(f"{part} = {name}[key_{part}]")
        else:
            lines.append(f"{part} = {name}.{key}")
        _match_lines(child, part, scope, lines, leaves)


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


def _dataclass(kind: Any, keys: tuple[Any, ...], items: list[Any]) -> Any:
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
