"""Print the table: `python -m benchmarks [names] [--rounds n]`."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator
from importlib import metadata

from adgraph.lower.native import cpu_name
from benchmarks.contestants import Contestant, contestants, missing
from benchmarks.programs import PROGRAMS, WARM_UP, Program
from benchmarks.timing import OURS, Row, measure

PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "autograd", "jax")


def main() -> None:
    """Measure the chosen programs, with an empty kernel cache."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of programs; default: all")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    chosen = [p for p in PROGRAMS if _is_chosen(p, options.names)]
    if not chosen:
        parser.error(f"no such program; there are: {', '.join(p.name for p in PROGRAMS)}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ADGRAPH_CACHE_DIR"] = folder
        _run(chosen, options.rounds)


def _is_chosen(program: Program, names: list[str]) -> bool:
    return not names or any(name.lower() in program.name.lower() for name in names)


def _run(programs: list[Program], rounds: int) -> None:
    who = contestants()
    print(f"{platform.platform()}, {cpu_name()}, {rounds} rounds")
    print(f"one thread each; XLA may use {os.environ['PJRT_NPROC']}")
    print(f"Python {platform.python_version()}, {', '.join(_versions())}")
    for name in missing():
        print(f"{name} is not installed and left out: pip install 'adgraph[bench]'")
    peers = [c.name for c in who if c.name != OURS]
    compiling = [c.name for c in who if c.compiles]
    header = ["program", "what", "adgraph µs", *(f"{p}/ours" for p in peers), "best", "least"]
    header += [*(f"{name} first s" for name in compiling), "difference"]
    print()
    print(_line(header))
    print(_line(["---"] * 2 + ["--:"] * (len(header) - 2)))
    _warm_up(who)
    for program in programs:
        for row in measure(program, who, rounds):
            print(_line(list(_cells(row, peers, compiling))), flush=True)


def _warm_up(who: list[Contestant]) -> None:
    """Let every package import what it loads at its first compilation."""
    measure(WARM_UP, who, rounds=1)


def _cells(row: Row, peers: list[str], compiling: list[str]) -> Iterator[str]:
    yield row.program
    yield row.what
    yield f"{row.median() * 1e6:.1f}"
    for name in peers:
        yield f"{row.ratio(name):.2f}" if name in row.seconds else ""
    yield f"{row.best():.2f}"
    yield f"{row.best_least():.2f}"
    for name in compiling:
        yield f"{row.first[name]:.2f}"
    yield f"{row.difference:.0e}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _versions() -> Iterator[str]:
    for package in PACKAGES:
        try:
            yield f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue


if __name__ == "__main__":
    main()
