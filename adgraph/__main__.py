"""The command line: `python -m adgraph demo`, `doctor`, `coverage` or `cache`; see `main`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from adgraph import coverage, demo, doctor
from adgraph.chart import show_bytes
from adgraph.lower import cache
from adgraph.version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    match chosen.command:
        case "demo":
            return demo.run(Path("adgraph-demo"))
        case "doctor":
            print(doctor.report())
        case "coverage":
            print(coverage.report())
        case "cache":
            _cache(chosen.action)
        case _:
            parser.print_help()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m adgraph", description="A graph compiler for derivatives of plain NumPy code."
    )
    parser.add_argument("--version", action="version", version=f"adgraph {__version__}")
    commands = parser.add_subparsers(dest="command", title="commands", metavar="command")
    commands.add_parser("demo", help="train a network on real digits; draw adgraph-demo/graph.svg")
    commands.add_parser(
        "doctor", help="print what adgraph finds on this machine, and what is wrong"
    )
    commands.add_parser(
        "coverage", help="print what every function of NumPy does inside a trace (Markdown)"
    )
    words = "show, clear or locate the compiled kernels kept on disk"
    kernels = commands.add_parser("cache", help=words, description=f"{words.capitalize()}.")
    kernels.add_argument("action", nargs="?", choices=("info", "clear", "path"), default="info")
    return parser


def _cache(action: str) -> None:
    match action:
        case "path":
            print(cache.folder())
        case "clear":
            print(_cleared())
        case _:
            print(_described(cache.info()))


def _described(info: cache.CacheInfo) -> str:
    rows = [
        ("folder", str(info.folder)),
        ("kernels", str(info.count)),
        ("size", f"{show_bytes(info.bytes)} of at most {show_bytes(cache.limit())}"),
    ]
    if info.count:
        ages = f"{_duration(info.youngest)} to {_duration(info.oldest)} ago"
        rows.append(("last used", ages))
    return "\n".join(f"{name:<10} {value}" for name, value in rows)


def _cleared() -> str:
    before = cache.info()
    cache.clear()
    removed = before.count - cache.info().count
    noun = "kernel" if before.count == 1 else "kernels"
    held = f"{before.count} {noun}, {show_bytes(before.bytes)}"
    return f"{before.folder}: removed {removed} of {held}"


UNITS = (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0))


def _duration(seconds: float) -> str:
    """Say how long a time is, in the largest unit of which it has two."""
    for unit, length in UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


if __name__ == "__main__":
    sys.exit(main())
