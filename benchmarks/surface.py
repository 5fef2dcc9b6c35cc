"""Functions of NumPy and SciPy that are kernels of their own, against NumPy and SciPy themselves.

`python -m benchmarks.surface [names] [--rounds n]` prints lower quartiles of interleaved rounds
(CPU time), and NumPy's through ours (above 1 adgraph is faster). Values are compared before.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.linalg

from adgraph import trace
from benchmarks.measure import CLOCKS, OURS, interleaved, largest_difference, low

RNG = np.random.default_rng(0)
MANY, LINE = RNG.normal(size=100_000), np.sort(RNG.normal(size=1000))
SQUARE, TALL = RNG.normal(size=(200, 200)), RNG.normal(size=(800, 200))
TURNED = SQUARE + 1j * RNG.normal(size=(200, 200))

CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "argsort stable 1e4": (lambda x: np.argsort(x, kind="stable"), (MANY[:10_000],)),
    "argsort stable 1e5": (lambda x: np.argsort(x, kind="stable"), (MANY,)),
    "argsort 1e5": (np.argsort, (MANY,)),
    "median 1e5": (np.median, (MANY,)),
    "median of 1000 x 100": (lambda x: np.median(x.reshape(1000, 100), axis=1), (MANY,)),
    "quantiles 1e5, 3": (lambda x: np.quantile(x, [0.1, 0.5, 0.9]), (MANY,)),
    "histogram 1e5, 50 bins": (lambda x: np.histogram(x, 50, (-4, 4))[0], (MANY,)),
    "searchsorted 1e5 in 1000": (np.searchsorted, (LINE, MANY)),
    "interp 1e5 in 1000": (np.interp, (MANY, LINE, LINE**2)),
    "convolve 1e5 x 31": (np.convolve, (MANY, LINE[:31])),
    "convolve 1e5 x 1000": (np.convolve, (MANY, LINE)),
    "fft 1e5": (lambda x: np.abs(np.fft.fft(x)), (MANY,)),
    "inv complex 200": (np.linalg.inv, (TURNED,)),
    "solve complex 200": (np.linalg.solve, (TURNED, SQUARE)),
    "eigvalsh 200": (lambda a: np.linalg.eigvalsh(a + a.T), (SQUARE,)),
    "svdvals 200": (np.linalg.svdvals, (SQUARE,)),
    "q of 800 x 200": (lambda a: np.abs(np.linalg.qr(a)[0]), (TALL,)),
    "r of 800 x 200": (lambda a: np.abs(np.linalg.qr(a)[1]), (TALL,)),
    "pinv 200": (np.linalg.pinv, (SQUARE,)),
    "lstsq 800 x 200": (lambda a, b: np.linalg.lstsq(a, b)[0], (TALL, TALL[:, 0])),
    "expm 64": (scipy.linalg.expm, (SQUARE[:64, :64] / 8,)),
    "expm 200": (scipy.linalg.expm, (SQUARE / 14,)),
}


def line(name: str, rounds: int) -> str:
    """Measure one case."""
    function, arguments = CASES[name]
    traced = trace(function)
    runs = {OURS: lambda: traced(*arguments), "numpy": lambda: function(*arguments)}
    largest_difference({who: [np.asarray(run())] for who, run in runs.items()})
    ours, theirs = (low(s) for s in interleaved(runs, rounds, CLOCKS["cpu"]).values())
    return f"| {name} | {ours * 1e6:,.1f} | {theirs / ours:.2f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the names of cases")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    print("| function | µs | numpy |\n| --- | --: | --: |")
    for name in CASES:
        if not options.names or any(part in name for part in options.names):
            print(line(name, options.rounds), flush=True)


if __name__ == "__main__":
    main()
