"""What a node costs: operations, bytes and an estimate of seconds.

The seconds decide between forward and reverse Jacobians and what is recomputed for a memory budget:
ratios matter, not absolute values. The rates below were measured by `benchmarks/calibrate.py`.
Begin with `node_cost`.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

from adgraph.analysis.liveness import computes
from adgraph.ir.graph import Graph, Node
from adgraph.ir.op import Kind

# One core of a 2-core AVX-512 virtual machine, float64, measured by benchmarks/calibrate.py.
# Tables give the rate from an amount on: small matrices do not fill the registers of a product,
# large arrays do not fit into the second and third cache.
KERNEL_SECONDS = 1.0e-8  # the call of a compiled kernel, and the program's step around it
ELEMENT_RATE = 1.9e10  # additions a second of a loop; the weight of an expression counts them
FOLD_RATE = 5.9e9  # elements a second of a reduction
LIBRARY_RATES = ((0.0, 1.1e10), (5e3, 2.6e10), (2e5, 5.0e10), (1e7, 5.6e10))  # operations a second
MEMORY_RATES = ((0.0, 2.0e11), (1e6, 1.0e11), (5e7, 4.0e10))  # bytes a second


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


NOTHING = Cost(0.0, 0, 0, 0.0)


def node_cost(node: Node) -> Cost:
    """Estimate one run of a node. Views and constants cost nothing.

    A node with programs inside reads its operands and writes its results once; the operations are
    those of the programs, unless the op counts them itself (a loop knows its trips).
    """
    if not computes(node):
        return NOTHING
    read = sum(t.nbytes for t in node.types)
    written = sum(v.type.nbytes for v in node.outputs)
    flops = _flops(node)
    arithmetic = _arithmetic_seconds(node, flops)
    movement = (read + written) / _rate(MEMORY_RATES, read + written)
    return Cost(flops, read, written, KERNEL_SECONDS + max(arithmetic, movement))


def graph_cost(graph: Graph) -> Cost:
    """Estimate one run of a graph, each node once."""
    return sum(map(node_cost, graph.nodes), NOTHING)


def _flops(node: Node) -> float:
    if node.op.flops is not None:
        return float(node.op.flops(*node.types, **node.attrs))
    regions = tuple(node.regions())
    if regions:
        return sum(_flops(inner) for region in regions for inner in region.nodes if computes(inner))
    return float(sum(v.type.size for v in node.outputs))


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
