"""Layers import downward only, and no import hides inside a function to break a cycle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "adgraph"

# From the bottom to the top: a module may import from its own package and from those before it.
LAYERS = (
    "version",
    "errors",
    "ir",
    "ops",
    "tracing",
    "analysis",
    "transforms",
    "control",
    "passes",
    "schedule",
    "lower",
    "runtime",
    "chart",
    "dot",
    "picture",
    "grouping",
    "timeline",
    "curve",
    "profile",
    "looks",
    "sheet",
    "draw",
    "api",
    "numpy",
    "random",
    "testing",
    "__init__",
    "coverage",
    "doctor",
    "demo",
    "__main__",
)
SLOW = {"numba", "graphviz"}  # packages that a module may import which is itself imported late
MODULES = sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def _layer(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def _targets(node: ast.AST) -> Iterator[str]:
    """The modules of adgraph that an import statement names; the package itself is `__init__`."""
    match node:
        case ast.Import(names=names):
            yield from (a.name for a in names if a.name.split(".")[0] == PACKAGE.name)
        case ast.ImportFrom(module=str(module), names=names) if (
            module.split(".")[0] == PACKAGE.name
        ):
            for alias in names:
                inner = f"{module}.{alias.name}"
                yield inner if _file(inner) is not None else module


def _file(module: str) -> Path | None:
    path = PACKAGE.parent.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((c for c in candidates if c.exists()), None)


def _layer_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _late_imports(tree: ast.AST) -> Iterator[str]:
    functions = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    for function in functions:
        for node in ast.walk(function):
            yield from _targets(node)


def _imports_a_slow_package(module: str) -> bool:
    file = _file(module)
    assert file is not None
    tree = ast.parse(file.read_text(encoding="utf-8"))
    named = [n.module or "" for n in tree.body if isinstance(n, ast.ImportFrom)]
    named += [a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names]
    return any(name.split(".")[0] in SLOW for name in named)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_imports_from_its_own_layer_or_lower_ones(path: Path) -> None:
    here = LAYERS.index(_layer(path))
    tree = ast.parse(path.read_text(encoding="utf-8"))
    targets = {t for node in ast.walk(tree) for t in _targets(node)}
    assert sorted(t for t in targets if LAYERS.index(_layer_of(t)) > here) == []


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_only_what_needs_a_slow_package_is_imported_late(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert sorted(t for t in _late_imports(tree) if not _imports_a_slow_package(t)) == []


def test_the_reader_of_imports_sees_upward_and_late_ones() -> None:
    tree = ast.parse("def f():\n    from adgraph.ir import graph\nimport adgraph.api\nimport numpy")
    found = [t for node in ast.walk(tree) for t in _targets(node)]
    assert sorted(found) == ["adgraph.api", "adgraph.ir.graph"]
    assert list(_late_imports(tree)) == ["adgraph.ir.graph"]
