"""Print the tables: `python -m benchmarks.memory [names] [--packages ...]`.

Every line is a process of its own, whose peak memory comes from the operating system: what calls
add to the process after everything is imported and compiled. Times are CPU seconds on one thread.
Gradients are compared with those of adgraph without a budget before a line is printed.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks.memory.fresh import Measured, measured
from benchmarks.memory.programs import PROGRAMS, Program

PACKAGES = ("adgraph", "jax", "torch")
CLOSE = 1e-9  # of gradients, relative to their largest element


def main(given: list[str] | None = None) -> None:
    """Measure the chosen programs."""
    options = _parser().parse_args(given)
    chosen = [p for p in PROGRAMS if _is_chosen(p, options.names)]
    if not chosen:
        raise SystemExit(f"no such program; there are: {', '.join(p.name for p in PROGRAMS)}")
    for program in chosen:
        print(f"\n**{program.name}**\n")
        print("| gradient | peak MB | seconds | peak | time |\n| --- | --: | --: | --: | --: |")
        for line in _lines(program, options.packages):
            print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of programs; default: all")
    parser.add_argument("--packages", nargs="*", choices=PACKAGES, default=list(PACKAGES))
    return parser


def _is_chosen(program: Program, names: list[str]) -> bool:
    return not names or any(name.lower() in program.name.lower() for name in names)


def _lines(program: Program, packages: list[str]) -> Iterator[str]:
    """Measure all ways; the last columns compare with adgraph's store-all."""
    with tempfile.TemporaryDirectory() as folder:
        expected = Path(folder) / "expected.npz"
        first = measured(program.name, "adgraph", "store-all", expected)
        yield _line("adgraph, store-all", first, first)
        for package in packages:
            if not find_spec(package):
                yield f"| {package} | not installed | | | |"
                continue
            for way in import_module(f"benchmarks.memory.in_{package}").ways(program):
                if (package, way) != ("adgraph", "store-all"):
                    file = Path(folder) / "found.npz"
                    found = measured(program.name, package, way, file)
                    refusal = found.refusal or _difference(expected, file)
                    found = Measured(found.bytes, found.seconds, refusal)
                    yield _line(f"{package}, {way}", found, first)


def _difference(expected: Path, found: Path) -> str:
    """Say how far two gradients are apart, if they are."""
    with np.load(expected) as first, np.load(found) as second:
        for name in first.files:
            scale = np.max(np.abs(first[name]), initial=1e-300)
            gap = np.max(np.abs(first[name] - second[name]), initial=0.0) / scale
            if not gap <= CLOSE:
                return f"its gradient differs by {gap:.1e}"
    return ""


def _line(name: str, found: Measured, first: Measured) -> str:
    if found.refusal:
        return f"| {name} | {found.refusal} | | | |"
    less, longer = first.bytes / max(found.bytes, 1), found.seconds / max(first.seconds, 1e-9)
    megabytes = found.bytes / 1e6
    return (
        f"| {name} | {megabytes:,.1f} | {found.seconds:.3f} | 1/{less:.3g} | {longer:.2f} |"
        if less >= 1
        else f"| {name} | {megabytes:,.1f} | {found.seconds:.3f} | {1 / less:.2f} | {longer:.2f} |"
    )


if __name__ == "__main__":
    main()
