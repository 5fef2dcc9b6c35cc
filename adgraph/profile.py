"""Where the time of one call goes: every kernel, timed, beside what the machine could do.

`profile_call` runs a program kernel by kernel, many times; each kernel runs once in its place, as
it does in a call. Begin with `Profile`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np

from adgraph.analysis.cost import evaluations, expected_trips, node_cost
from adgraph.chart import show_bytes
from adgraph.errors import Location, TracingError, message
from adgraph.ir.code import Control, InnerLoop
from adgraph.ir.graph import Node
from adgraph.ir.types import ArrayType
from adgraph.lower.driver import driver, single_steps
from adgraph.lower.kernel import KernelSource
from adgraph.lower.pool import SplitCall
from adgraph.lower.program import Call, Program
from adgraph.runtime.arena import Arena, Array, address, new_arena
from adgraph.runtime.dispatch import Dispatcher, Entry, collector_paused
from adgraph.runtime.machine import Limits, machine_limits
from adgraph.tracing.tree import flatten

SECONDS = 0.4  # of measuring
LEAST_RUNS, MOST_RUNS = 7, 2000
SHOWN_FUNCTIONS = 2
RESOLUTION = 10e-9  # of the timer: of shorter times nothing is derived


@dataclass(frozen=True)
class KernelTime:
    """One kernel of a program: times of a run, and what it does in one.

    `order` counts the derivatives between the user's line and the kernel. `bytes` are what it reads
    and writes, in a loop on every trip; `footprint` are the bytes of its operands and results. In
    `flops` an addition counts 1 and every other function its weight: exp is 10; `functions` counts
    the evaluations of those that weigh 10 or more. A loop makes `trips`.
    """

    name: str
    location: Location | None
    order: int
    calls: int
    trips: float
    least: float
    median: float
    bytes: int
    footprint: int
    flops: float
    functions: Mapping[str, int]

    @property
    def bandwidth(self) -> float:
        """Bytes a second."""
        return self.bytes / self.least if self.least else 0.0

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.flops / self.least if self.least else 0.0

    def bound(self, limits: Limits) -> tuple[str, float]:
        """Return what bounds the kernel, memory or arithmetic, and the share of it that is used."""
        memory = self.bandwidth / limits.bandwidth(self.footprint)
        arithmetic = self.rate / limits.flops
        return ("memory", memory) if memory >= arithmetic else ("arithmetic", arithmetic)


@dataclass(frozen=True)
class Profile:
    """The times of one program. `print` it; Jupyter shows it as a table.

    `program` is the time of all kernels run by one call of the driver, `call` that of a call of the
    function: in addition it takes the arguments apart and makes arrays for the results. Times are
    the least of `runs`, in seconds.
    """

    name: str
    kernels: tuple[KernelTime, ...]
    program: float
    call: float
    runs: int
    limits: Limits

    @property
    def total(self) -> float:
        """The sum of the kernels' times."""
        return sum(kernel.least for kernel in self.kernels)

    @property
    def overhead(self) -> float:
        """What a call takes besides its kernels."""
        return max(self.call - self.program, 0.0)

    def __str__(self) -> str:
        rows = [TITLES, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join([self._title(), *(_aligned(row, widths) for row in rows), *self._notes()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(title)}</th>" for title in TITLES)
        rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self._rows())
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        notes = "<br>".join(map(escape, self._notes()))
        return f"<p>{escape(self._title())}</p><table><tr>{head}</tr>{body}</table><p>{notes}</p>"

    def _title(self) -> str:
        return f"program {self.name}: one call {show_seconds(self.call)}, least of {self.runs} runs"

    def _rows(self) -> list[tuple[str, ...]]:
        """Return the rows, the slowest kernel first."""
        ranked = sorted(self.kernels, key=lambda kernel: -kernel.least)
        return [tuple(_cells(kernel, self)) for kernel in ranked]

    def _notes(self) -> Iterator[str]:
        yield (
            f"kernels {show_seconds(self.total)}, run in one go {show_seconds(self.program)}; "
            f"the call itself {show_seconds(self.overhead)}"
        )
        memory = ", ".join(
            f"{rate / 1e9:.0f} GB/s up to {show_bytes(size)}"
            for size, rate in self.limits.bandwidths
        )
        yield f"this core: {memory}; {self.limits.flops / 1e9:.0f} Gflop/s"
        yield (
            "flops: an addition is 1, a function its weight (exp 10); bytes: read and "
            "written; ' marks the derivative of a line; limit: the nearer one, and its share"
        )


TITLES = (
    "kernel",
    "line",
    "calls",
    "trips",
    "time",
    "median",
    "share",
    "bytes",
    "GB/s",
    "flops",
    "Gflop/s",
    "limit",
    "functions",
)
LEFT = ("kernel", "line", "limit", "functions")


def _cells(kernel: KernelTime, profile: Profile) -> Iterator[str]:
    timed = kernel.least >= RESOLUTION
    bound, used = kernel.bound(profile.limits)
    functions = sorted(kernel.functions.items(), key=lambda item: -item[1])
    named = [f"{show_count(count)} {name}" for name, count in functions]
    more = ["..."] if len(named) > SHOWN_FUNCTIONS else []
    yield kernel.name
    yield f"{kernel.location or ''}{kernel.order * chr(39)}"
    yield str(kernel.calls)
    yield "" if kernel.trips == 1.0 else show_count(kernel.trips)
    yield show_seconds(kernel.least) if timed else f"< {show_seconds(RESOLUTION)}"
    yield show_seconds(kernel.median) if timed else ""
    yield f"{100 * kernel.least / profile.total:.1f} %" if profile.total else ""
    yield show_bytes(kernel.bytes)
    yield f"{kernel.bandwidth / 1e9:.1f}" if timed else ""
    yield show_count(kernel.flops)
    yield f"{kernel.rate / 1e9:.2f}" if timed else ""
    yield f"{bound} {100 * used:.0f} %" if timed else ""
    yield ", ".join([*named[:SHOWN_FUNCTIONS], *more])


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (
        cell.ljust(width) if title in LEFT else cell.rjust(width)
        for cell, width, title in zip(row, widths, TITLES, strict=True)
    )
    return "  ".join(cells).rstrip()


def show_seconds(seconds: float) -> str:
    """Word a time.

    >>> show_seconds(0.0), show_seconds(1.234e-7), show_seconds(0.5)
    ('0 ns', '123 ns', '500 ms')
    """
    for unit, length in (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3)):
        if seconds < 999.5 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def show_count(count: float) -> str:
    """Word a number of operations.

    >>> show_count(12), show_count(34_500), show_count(2e9)
    ('12', '34.5k', '2G')
    """
    for unit in ("", "k", "M", "G"):
        if count < 999.5:
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.4g}T"


# --- measuring -----------------------------------------------------------------------------------


def profile_call(
    dispatch: Dispatcher, args: tuple[Any, ...], kwargs: dict[str, Any], call: Callable[[], Any]
) -> Profile:
    """Measure the program for arguments; `call` calls the function with them."""
    leaves, _ = flatten(dispatch.mark_static(args, kwargs))
    for leaf in leaves:
        if isinstance(leaf, ArrayType):
            raise TracingError(
                message(
                    f"profile was called with the type {leaf}",
                    "it runs the program, whose time may depend on the elements",
                    "pass an array",
                )
            )
    with _restored(leaves):
        call()  # compiles, and gives the tapes of loops of unknown length their room
    entry = dispatch.entry(args, kwargs)
    run = _Run(entry, leaves)
    runs = _number_of_runs(run)
    limits = machine_limits()
    with collector_paused():
        times = _measured(run, call, leaves, runs)
    kernels = tuple(_kernels(entry.compiled.program, times))
    whole = max(min(times.wholes) - min(times.idle), 0.0)
    return Profile(entry.trace.graph.name, kernels, whole, min(times.calls), runs, limits)


@contextmanager
def _restored(leaves: Sequence[Any]) -> Iterator[None]:
    """Undo what the block writes into arguments."""
    saved = [(x, x.copy()) for x in leaves if isinstance(x, np.ndarray) and x.flags.writeable]
    try:
        yield
    finally:
        for array, before in saved:
            np.copyto(array, before)


def _number_of_runs(run: _Run) -> int:
    """Return how many runs fill the time for measuring; the first run is not counted."""
    run.steps()
    begin = time.perf_counter()
    run.steps()
    seconds = time.perf_counter() - begin
    return min(max(int(SECONDS / (3 * seconds)), LEAST_RUNS), MOST_RUNS)


@dataclass(frozen=True)
class _Times:
    """Seconds of every run: of its steps, of the program, of the driver with nothing to do."""

    steps: list[list[float]] = field(default_factory=list)
    wholes: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)


def _measured(run: _Run, call: Callable[[], Any], leaves: Sequence[Any], runs: int) -> _Times:
    """Run the steps, the program and the call by turns."""
    times = _Times()
    for _ in range(runs):
        times.idle.append(run.idle())
        times.steps.append(run.steps())
        times.wholes.append(run.whole())
        with _restored(leaves if run.writes else ()):
            begin = time.perf_counter()
            call()
            times.calls.append(time.perf_counter() - begin)
    return times


class _Run:
    """The memory of runs of a program, and the program taken apart into one for every step."""

    def __init__(self, entry: Entry, leaves: Sequence[Any]) -> None:
        self.writes = bool(entry.trace.written)
        self._compiled = entry.compiled
        self._program = entry.compiled.program
        self._arrays = entry.arrays(leaves)
        self._arena: Arena = new_arena(self._program)
        self._words = list(single_steps(self._program.words))
        self._nothing = np.zeros(1, np.int64)
        self._driver = driver("few")

    def idle(self) -> float:
        """Run nothing; return the seconds of calling the driver."""
        return self._timed(self._nothing, 0)

    def steps(self) -> list[float]:
        """Run step after step; return the seconds of each."""
        results = self._results()
        times = [self._timed(words, i) for i, words in enumerate(self._words)]
        del results
        return times

    def whole(self) -> float:
        """Run the whole program; return its seconds."""
        results = self._results()
        seconds = self._timed(self._program.words, 0)
        del results
        return seconds

    def _results(self) -> list[Array]:
        """Make arrays for the results, new ones as in every call, and enter all addresses."""
        results = [np.empty(t.shape, t.dtype) for t in self._program.results]
        sources = self._arena.sources
        first = len(sources) - len(self._arrays) - len(results)
        sources[first:] = [address(array) for array in (*self._arrays, *results)]
        return results

    def _timed(self, words: Array, step: int) -> float:
        arena = self._arena
        program, sources, scratch = address(words), arena.sources_address, arena.scratch_address
        begin = time.perf_counter()
        code = self._driver(program, sources, scratch)
        seconds = time.perf_counter() - begin
        if code:
            raise self._compiled.error(code + (step << 8))
        return seconds


def _kernels(program: Program, times: _Times) -> Iterator[KernelTime]:
    """Add up the calls that one node takes; a node that is computed again has a line of its own."""
    begin = 0
    calls = program.calls
    for end in range(1, len(calls) + 1):
        if end == len(calls) or calls[end].node is not calls[begin].node:
            yield _kernel(
                calls[begin:end], [sum(run[begin:end]) for run in times.steps], times.idle
            )
            begin = end


def _kernel(calls: Sequence[Call], seconds: Sequence[float], idle: Sequence[float]) -> KernelTime:
    node = calls[0].node
    cost = node_cost(node)
    return KernelTime(
        _name(calls[0]),
        node.origin.location,
        node.origin.order,
        len(calls),
        _trips(node),
        max(min(seconds) - len(calls) * min(idle), 0.0),
        max(float(np.median(seconds)) - len(calls) * float(np.median(idle)), 0.0),
        cost.bytes_read + cost.bytes_written,
        sum(v.type.nbytes for v in {*node.inputs, *node.outputs}),
        cost.flops,
        _functions(node),
    )


def _trips(node: Node) -> float:
    """Return the trips of a loop, or of the longest of those beside one another in a kernel."""
    if isinstance(node.op.code, Control):
        return expected_trips(node)
    inner = (n for region in node.regions() for n in region.nodes)
    return max((_trips(n) for n in inner if isinstance(n.op.code, Control)), default=1.0)


def _functions(node: Node) -> Counter[str]:
    found = evaluations(node)
    return Counter({name: count for name, count in found.items() if count})


def _name(call: Call) -> str:
    match call.kernel:
        case KernelSource(name=name):
            return name
        case (InnerLoop(ufunc=ufunc), str(dtype)):
            return f"{ufunc.rpartition('.')[2]} {dtype}"
        case (str(routine), str(dtype)):
            return f"{routine} {dtype}"
        case SplitCall(name=name, threads=threads):
            return f"{name} on {threads} threads"
        case _:
            return call.node.op.name
