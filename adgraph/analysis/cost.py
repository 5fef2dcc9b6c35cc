"""What a node costs: operations, bytes and an estimate of seconds.

The seconds decide between forward and reverse Jacobians and what is recomputed for a memory budget:
ratios matter, not absolute values. The rates below were measured by `benchmarks/calibrate.py`.
A loop costs its trips times its program, at the mean extents of what changes with the index.
Begin with `node_cost`.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from adgraph.analysis.liveness import computes
from adgraph.analysis.space import assembles_scalars
from adgraph.ir.code import Control, Expression
from adgraph.ir.dims import Affine, Dim, Symbol
from adgraph.ir.graph import Graph, Node
from adgraph.ir.op import Kind
from adgraph.ir.types import ArrayType

# One core of a 2-core AVX-512 virtual machine, float64, measured by benchmarks/calibrate.py.
# Tables give the rate from an amount on: small matrices do not fill the registers of a product,
# large arrays do not fit into the second and third cache.
KERNEL_SECONDS = 1.0e-8  # the call of a compiled kernel, and the program's step around it
ELEMENT_RATE = 1.9e10  # additions a second of a loop; the weight of an expression counts them
FOLD_RATE = 5.9e9  # elements a second of a reduction
LIBRARY_RATES = ((0.0, 1.1e10), (5e3, 2.6e10), (2e5, 5.0e10), (1e7, 5.6e10))  # operations a second
MEMORY_RATES = ((0.0, 2.0e11), (1e6, 1.0e11), (5e7, 4.0e10))  # bytes a second

EXPENSIVE = 10.0  # the least weight of a function that counts as transcendental
UNKNOWN_TRIPS = 32.0  # of a loop whose length only the values decide
STEPS = frozenset({Kind.REGION, Kind.MOVEMENT})  # in a kernel they run one after the other


@dataclass(frozen=True, slots=True)
class Cost:
    """Floating-point operations, bytes moved between memory and processor, estimated seconds.

    >>> Cost(1.0, 8, 8, 1e-6) + Cost(2.0, 8, 0, 1e-6)
    Cost(flops=3.0, bytes_read=16, bytes_written=8, seconds=2e-06)
    """

    flops: float
    bytes_read: int
    bytes_written: int
    seconds: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops,
            self.bytes_read + other.bytes_read,
            self.bytes_written + other.bytes_written,
            self.seconds + other.seconds,
        )

    def times(self, count: float) -> Cost:
        """Return the cost of as many runs."""
        return Cost(
            self.flops * count,
            round(self.bytes_read * count),
            round(self.bytes_written * count),
            self.seconds * count,
        )


NOTHING = Cost(0.0, 0, 0, 0.0)


def node_cost(node: Node) -> Cost:
    """Estimate one run of a node. Views and constants cost nothing.

    A kernel of fused nodes reads its operands and writes its results once; the operations are
    those of the nodes in it, unless the op counts them itself. A kernel of loops and writes in
    place costs what its steps cost.
    """
    if not computes(node):
        return NOTHING
    if isinstance(node.op.code, Control):
        return Cost(0.0, 0, 0, KERNEL_SECONDS) + _control_cost(node)
    if any(_is_step(inner) for region in node.regions() for inner in region.nodes):
        inside = map(_inside_cost, node.regions())
        return sum(inside, Cost(0.0, 0, 0, KERNEL_SECONDS))
    return _kernel_cost(node, _bytes(node.types), _bytes(v.type for v in node.outputs))


def _is_step(node: Node) -> bool:
    """Whether a node inside a kernel runs by itself, not in a loop nest with others."""
    return node.op.kind in STEPS and not assembles_scalars(node)


def _kernel_cost(node: Node, read: int, written: int) -> Cost:
    flops = _flops(node)
    arithmetic = _arithmetic_seconds(node, flops)
    movement = (read + written) / _rate(MEMORY_RATES, read + written)
    return Cost(flops, read, written, KERNEL_SECONDS + max(arithmetic, movement))


def moving_seconds(nbytes: int) -> float:
    """Estimate how long it takes to read, or to write, an array of so many bytes."""
    return nbytes / _rate(MEMORY_RATES, nbytes)


def graph_cost(graph: Graph) -> Cost:
    """Estimate one run of a graph, each node once."""
    return sum(map(node_cost, graph.nodes), NOTHING)


def primal_flops(graph: Graph) -> float:
    """Count the operations of the differentiated function itself in a graph of its derivative."""
    return sum(map(_primal_flops, filter(computes, graph.nodes)))


def _primal_flops(node: Node) -> float:
    """Count those of one node; a kernel may hold nodes of both programs."""
    inner = [n for region in node.regions() for n in region.nodes]
    if not inner or isinstance(node.op.code, Control):
        return 0.0 if node.origin.order else node_cost(node).flops
    counted = sum(node_cost(n).flops for n in inner if computes(n))
    share = sum(map(_primal_flops, filter(computes, inner)))
    return share * (node_cost(node).flops / counted if counted else 1.0)


def evaluations(node: Node) -> Counter[str]:
    """Count the functions a run evaluates that cost as much as ten additions, by their names.

    Of a branch, those of all its programs count.
    """
    found: Counter[str] = Counter()
    code = node.op.code
    if isinstance(code, Expression) and code.weight >= EXPENSIVE:
        found[node.op.name] = sum(_typical(v.type).size for v in node.outputs)
    for region in node.regions():
        for inner in region.nodes:
            found.update(evaluations(inner))
    trips = expected_trips(node)
    return found if trips == 1.0 else Counter({k: round(n * trips) for k, n in found.items()})


# --- programs inside nodes -----------------------------------------------------------------------


def _control_cost(node: Node) -> Cost:
    """Estimate a loop or a branch, which are one kernel each."""
    match node.op.code:
        case Control(form="branch"):
            return max(map(_inside_cost, node.regions()), key=_seconds)
        case _:
            return sum(map(_inside_cost, node.regions()), NOTHING).times(expected_trips(node))


def expected_trips(node: Node) -> float:
    """Return how often the programs of a node run, 1 of what is no loop.

    Where only values decide that, it is a guess; the tape of a loop has room for `capacity` trips.
    """
    match node.attrs:
        case {"trips": trips}:
            return max(_mean(trips), 0.0)
        case {"typical": typical}:
            return float(typical)
        case {"capacity": None}:
            return UNKNOWN_TRIPS
        case {"capacity": capacity}:
            return min(UNKNOWN_TRIPS, float(capacity))
        case _:
            return 1.0


def _seconds(cost: Cost) -> float:
    return cost.seconds


def _inside_cost(graph: Graph) -> Cost:
    """Estimate a program that runs within a kernel: no calls, and arrays are written in place."""
    return sum(map(_inside_node_cost, graph.nodes), NOTHING)


def _inside_node_cost(node: Node) -> Cost:
    if not computes(node) or node.op.kind is Kind.INDEX:
        return NOTHING
    if isinstance(node.op.code, Control):
        return _control_cost(node)
    if node.op.kind is Kind.MOVEMENT and node.outputs[0].type == node.types[0]:
        return _write_cost(node)
    cost = _kernel_cost(node, _bytes(node.types), _bytes(v.type for v in node.outputs))
    return replace(cost, seconds=cost.seconds - KERNEL_SECONDS)


def _write_cost(node: Node) -> Cost:
    """Estimate a write into a box of an array that is there."""
    moved = _bytes(node.types[1:])
    elements = sum(_typical(t).size for t in node.types[1:])
    seconds = max(elements / ELEMENT_RATE, 2 * moved / _rate(MEMORY_RATES, 2 * moved))
    return Cost(float(elements), moved, moved, seconds)


def _mean(dim: Dim) -> float:
    """Return the mean of a dim, if symbols take all values between their bounds equally often."""
    if not isinstance(dim, Affine):
        return float(dim)
    return dim.constant + sum(factor * _mean_symbol(symbol) for symbol, factor in dim.terms)


def _mean_symbol(symbol: Symbol) -> float:
    if symbol.lower is None or symbol.upper is None:
        return UNKNOWN_TRIPS / 2
    return (_mean(symbol.lower) + _mean(symbol.upper)) / 2


def _typical(type: ArrayType) -> ArrayType:
    """Return a type with numbers in place of extents that change."""
    if not type.ragged:
        return type
    return type.with_shape(tuple(max(round(_mean(n)), 0) for n in type.shape))


def _bytes(types: Iterable[ArrayType]) -> int:
    return sum(_typical(t).nbytes for t in types)


def _flops(node: Node) -> float:
    if node.op.flops is not None:
        return float(node.op.flops(*map(_typical, node.types), **node.attrs))
    regions = tuple(node.regions())
    if regions:
        return sum(_flops(inner) for region in regions for inner in region.nodes if computes(inner))
    return float(sum(_typical(v.type).size for v in node.outputs))


def _arithmetic_seconds(node: Node, flops: float) -> float:
    """Seconds of the operations alone: those of the programs inside, scaled to the op's count."""
    inner = [n for region in node.regions() for n in region.nodes if computes(n)]
    if inner:
        counted = [_flops(n) for n in inner]
        seconds = sum(map(_arithmetic_seconds, inner, counted))
        return seconds * (flops / sum(counted) if sum(counted) else 1.0)
    match node.op.kind:
        case Kind.LIBRARY:
            return flops / _rate(LIBRARY_RATES, flops)
        case Kind.REDUCTION:
            return flops / FOLD_RATE
        case _:
            return flops / ELEMENT_RATE


def _rate(table: tuple[tuple[float, float], ...], amount: float) -> float:
    """Look up the rate that holds from the last threshold below the amount."""
    return table[bisect.bisect_right([start for start, _ in table], amount) - 1][1]
