"""What a new size costs a program that is compiled for others: `python -m benchmarks.retrace`.

Programs of about a hundred nodes, and their gradients. Tracing, the passes and the lowering run
again; the table tells their least CPU times, and how many kernels were compiled in ten new sizes,
which should be none.
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from adgraph import trace
from adgraph.lower import native
from adgraph.runtime import dispatch

Array = np.ndarray[Any, Any]
SIZES = range(100, 112)  # the first is compiled, those behind it are new
COMPILER = "emit_object"
STAGES: dict[str, Any] = {
    "trace_function": dispatch,
    "run_pipeline": dispatch,
    "lower": dispatch,
    COMPILER: native,
}
SHOWN = ("trace_function", "run_pipeline", "lower", "total")


def elementwise(x: Array) -> Any:
    """Return a sum of nested functions."""
    y = x
    for _ in range(4):
        y = np.sin(1.1 * y + 0.3) * np.exp(-y * y) + np.tanh(y) / (1 + y * y)
        y = np.where(y > 0, y, 0.1 * y) + np.log1p(y * y) - np.sqrt(1 + y * y)
        y = y * x + x - 0.5 * y
    return np.sum(y)


def normalized(x: Array) -> Any:
    """Return a sum of squares of vectors that are normalized again and again."""
    total = 0.0
    for _ in range(8):
        centred = x - np.mean(x)
        x = np.tanh(centred / np.sqrt(np.sum(centred**2) + 1e-3)) + x
        total = total + np.sum(x * x)
    return total


def slices(x: Array) -> Any:
    """Return a sum over differences of differences."""
    for _ in range(10):
        d = x[1:] - x[:-1]
        x = np.sqrt(d * d + 1.0) * x[1:]
    return np.sum(x)


def layers(x: Array) -> Any:
    """Return a sum of squares behind layers with products of matrices."""
    for _ in range(14):
        x = x + np.tanh(x @ x.T) @ x
        x = x - np.mean(x, axis=0)
    return np.sum(x**2)


def stencil(u: Array) -> Any:
    """Return a sum of squares behind steps of diffusion, in place."""
    h = 1 / (u.shape[0] - 1)
    for _ in range(10):
        u[1:-1] += 0.1 * h * (u[2:] - 2 * u[1:-1] + u[:-2])
    return np.mean(u**2)


PROGRAMS: dict[Callable[..., Any], tuple[int, ...]] = {
    elementwise: (),
    normalized: (),
    slices: (),
    layers: (20,),
    stencil: (),
}


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Measure the seconds of the stages, and count the kernels that are compiled."""
    spent: dict[str, float] = defaultdict(float)
    whole = {name: getattr(module, name) for name, module in STAGES.items()}

    def timed(name: str, *args: Any, **options: Any) -> Any:
        begin = time.process_time()
        result = whole[name](*args, **options)
        spent[name] += time.process_time() - begin
        spent["compiled"] += name == COMPILER
        return result

    for name, module in STAGES.items():
        setattr(module, name, functools.partial(timed, name))
    try:
        yield spent
    finally:
        for name, module in STAGES.items():
            setattr(module, name, whole[name])


def costs(function: Callable[..., Any], shape: tuple[int, ...]) -> dict[str, float]:
    """Return the least seconds of each stage for a new size, and how much was compiled in all."""
    random = np.random.default_rng(0)
    first, *others = SIZES
    for n in (first, first + 1):  # the second settles what depends on the first by accident
        function(random.normal(size=(n, *shape)))
    least: dict[str, float] = defaultdict(float)
    for n in others[1:]:
        x = random.normal(size=(n, *shape))
        with watched() as spent:
            begin = time.process_time()
            function(x)
            spent["total"] = time.process_time() - begin
        for name in SHOWN:
            least[name] = min(least[name] or spent[name], spent[name])
        least["compiled"] += spent["compiled"]
    return least


def main() -> None:
    """Print a table."""
    print("| program | nodes | trace ms | passes ms | lower ms | total ms | compiled |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for function, shape in PROGRAMS.items():
        traced = trace(function)
        for name, f in (("", traced), (", gradient", traced.value_and_grad)):
            found = costs(f, shape)
            nodes = len(f.graph(np.ones((SIZES[0], *shape))).nodes)
            numbers = [f"{found[stage] * 1e3:.1f}" for stage in SHOWN]
            cells = [function.__name__ + name, str(nodes), *numbers, f"{found['compiled']:.0f}"]
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
