"""Print the table: `python -m benchmarks [names] [--group g] [--rounds n]`.

Gradients of adgraph against those of other packages and of hand-written Numba, with the time to the
first gradient and the peak memory in processes of their own. Above 1 adgraph is faster, except in
`ours/hand`.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from adgraph.lower.native import cpu_name
from benchmarks import report
from benchmarks.fresh import first_gradient
from benchmarks.measure import CLOCKS, Line, WrongResultError, measure
from benchmarks.peers import OURS, PEERS, SHARED, contestants, missing
from benchmarks.suite import GROUPS, PROGRAMS
from benchmarks.suite.program import Program

PACKAGES = ("numpy", "scipy", "numba", "llvmlite", *PEERS)
SHOWN = [name for name in PEERS if name not in ("numpy", OURS)]


def main(given: list[str] | None = None) -> None:
    """Measure the chosen programs, with an empty kernel cache."""
    options = _parser().parse_args(given)
    chosen = [p for p in PROGRAMS if _is_chosen(p, options.names, options.group)]
    if not chosen:
        raise SystemExit(f"no such program; there are: {', '.join(p.name for p in PROGRAMS)}")
    with _empty_cache():
        _run(chosen, options, _Output(options.markdown))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of names of programs; default: all")
    parser.add_argument("--group", choices=GROUPS, action="append", help="may be repeated")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--clock", choices=sorted(CLOCKS), default="cpu", help="default: cpu")
    parser.add_argument("--peers", nargs="*", choices=sorted(PEERS), default=list(PEERS))
    parser.add_argument("--hand", type=Path, default=SHARED, help="folder of hand-written kernels")
    parser.add_argument("--only", choices=("times", "first"), help="one of the two tables")
    parser.add_argument("--markdown", type=Path, help="a file for the same tables")
    parser.add_argument("--losses", type=Path, help="a file for the lines that miss a target")
    return parser


@contextmanager
def _empty_cache() -> Iterator[None]:
    """Give adgraph a kernel cache of its own."""
    variable = "ADGRAPH_CACHE_DIR"
    before = os.environ.get(variable)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[variable] = folder
        try:
            yield
        finally:
            os.environ.pop(variable)
            if before is not None:
                os.environ[variable] = before


def _is_chosen(program: Program, names: list[str], groups: list[str] | None) -> bool:
    named = not names or any(name.lower() in program.name.lower() for name in names)
    return named and (groups is None or program.group in groups)


class _Output:
    """Prints, and writes the same into a file if there is one."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is not None:
            path.write_text("", encoding="utf-8")

    def __call__(self, text: str = "") -> None:
        print(text, flush=True)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{text}\n")


def _run(programs: list[Program], options: argparse.Namespace, output: _Output) -> None:
    for text in _conditions(options, missing(options.peers)):
        output(text)
    lines = [] if options.only == "first" else _times(programs, options, output)
    fresh = {} if options.only == "times" else _fresh(programs, options, output)
    if options.losses is not None:
        options.losses.write_text("\n".join(report.losses(lines, fresh)) + "\n", encoding="utf-8")
    if lines and len(lines) < len(programs):
        raise SystemExit("there are programs with different results")


def _times(programs: list[Program], options: argparse.Namespace, output: _Output) -> list[Line]:
    """Print the times of gradients and their means, and return the lines."""
    who = contestants(options.peers, options.hand)
    shown = [c.name for c in who if c.name in SHOWN]
    output()
    output(report.times_header(shown))
    lines = []
    for program in programs:
        try:
            lines.append(measure(program, who, options.rounds, CLOCKS[options.clock]))
            output(report.times_line(lines[-1], shown))
        except WrongResultError as error:
            output(f"| {program.name} | refused: {error} |")
    output()
    for text in (*report.means(lines), "", *report.left_out(lines)):
        output(text)
    return lines


def _conditions(options: argparse.Namespace, absent: list[str]) -> Iterator[str]:
    yield f"{platform.platform()}, {cpu_name()}."
    yield f"{options.rounds} rounds, {options.clock} time, one thread each."
    yield f"Python {platform.python_version()}, {', '.join(_versions())}."
    if absent:
        yield f"Not installed and left out: {', '.join(absent)}."


def _fresh(
    programs: list[Program], options: argparse.Namespace, output: _Output
) -> dict[str, report.Fresh]:
    found = {}
    with_jax = "jax" in options.peers and find_spec("jax") is not None
    output()
    output(report.first_header())
    for program in programs:
        with tempfile.TemporaryDirectory() as cache:
            start = partial(first_gradient, program.name, cache=cache, clock=options.clock)
            cold, warm = start(package=OURS), start(package=OURS)
            jax = start(package="jax") if with_jax else None
        found[program.name] = report.Fresh(cold, warm, jax)
        output(report.first_line(program.name, found[program.name]))
    return found


def _versions() -> Iterator[str]:
    for package in dict.fromkeys(PACKAGES):
        try:
            yield f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue


if __name__ == "__main__":
    main()
