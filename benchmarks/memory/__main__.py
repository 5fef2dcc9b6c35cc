"""Print the table: `python -m benchmarks.memory [names] [--packages ...] [--markdown FILE]`.

Every line is a process of its own, whose peak memory comes from the operating system: what calls
add to the process after everything is imported and compiled. Times are CPU seconds on one thread.
Gradients are compared with those of adgraph without a budget before a line is printed.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections.abc import Iterator
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from adgraph.lower.native import cpu_name
from benchmarks.memory.fresh import Measured, measured
from benchmarks.memory.programs import PLAIN, PROGRAMS, Program

PACKAGES = ("adgraph", "jax", "torch")
CLOSE = 1e-9  # of gradients, relative to their largest element
HEAD = """| program | gradient | peak MB | seconds | peak | time |
| --- | --- | --: | --: | --: | --: |"""


def main(given: list[str] | None = None) -> None:
    """Measure the chosen programs."""
    options = _parser().parse_args(given)
    chosen = [p for p in PROGRAMS if _is_chosen(p, options.names)]
    if not chosen:
        raise SystemExit(f"no such program; there are: {', '.join(p.name for p in PROGRAMS)}")
    found: list[str] = []
    for line in _table(chosen, options.packages):
        print(line, flush=True)
        found.append(line)
    if options.markdown:
        options.markdown.write_text("\n".join([*found, ""]), encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of programs; default: all")
    parser.add_argument("--packages", nargs="*", choices=PACKAGES, default=list(PACKAGES))
    parser.add_argument("--markdown", type=Path, help="a file for the same table")
    return parser


def _is_chosen(program: Program, names: list[str]) -> bool:
    return not names or any(name.lower() in program.name.lower() for name in names)


def _table(programs: list[Program], packages: list[str]) -> Iterator[str]:
    installed = [package for package in packages if find_spec(package)]
    others = ("numpy", *(package for package in installed if package != "adgraph"))
    versions = [f"{package} {metadata.version(package)}" for package in others]
    yield f"{platform.platform()}, {cpu_name()}. CPU seconds, one thread each."
    yield f"Python {platform.python_version()}, {', '.join(versions)}."
    if absent := [package for package in packages if package not in installed]:
        yield f"Not installed and left out: {', '.join(absent)}."
    yield f"\n{HEAD}"
    for program in programs:
        yield from _lines(program, installed)


def _lines(program: Program, packages: list[str]) -> Iterator[str]:
    """Measure all ways; the last columns compare with adgraph without a budget."""
    with tempfile.TemporaryDirectory() as folder:
        expected = Path(folder) / "expected.npz"
        first = measured(program.name, "adgraph", PLAIN, expected)
        yield _line(program.name, f"adgraph, {PLAIN}", first, first)
        for package in packages:
            for way in import_module(f"benchmarks.memory.in_{package}").ways(program):
                if (package, way) != ("adgraph", PLAIN):
                    file = Path(folder) / "found.npz"
                    found = measured(program.name, package, way, file)
                    refusal = found.refusal or _difference(expected, file)
                    found = Measured(found.bytes, found.seconds, refusal)
                    yield _line("", f"{package}, {way}", found, first)


def _difference(expected: Path, found: Path) -> str:
    """Say how far two gradients are apart, if they are."""
    with np.load(expected) as first, np.load(found) as second:
        for name in first.files:
            scale = np.max(np.abs(first[name]), initial=1e-300)
            gap = np.max(np.abs(first[name] - second[name]), initial=0.0) / scale
            if not gap <= CLOSE:
                return f"its gradient differs by {gap:.1e}"
    return ""


def _line(program: str, name: str, found: Measured, first: Measured) -> str:
    if found.refusal:
        return f"| {program} | {name} | {found.refusal} | | | |"
    share, longer = found.bytes / max(first.bytes, 1), found.seconds / max(first.seconds, 1e-9)
    return (
        f"| {program} | {name} | {found.bytes / 1e6:,.1f} | {found.seconds:.3f} "
        f"| {share:.3g} | {longer:.2f} |"
    )


if __name__ == "__main__":
    main()
