"""What a memory budget costs: `python -m benchmarks.budgets`.

Prints, for abstract joint graphs, the estimated cost over that of the plan that keeps all, at
fractions of its arena (the results are the caller's, apart), and the planner's processor seconds.
`--exact` compares small graphs with the optimum that OR-tools' CP-SAT proves for one order of first
runs; the planner may find a better order.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from adgraph.errors import BudgetError
from adgraph.ir.graph import Graph
from adgraph.runtime.dispatch import collector_paused
from adgraph.schedule.flow import Flow
from adgraph.schedule.pareto import Planner, pareto
from benchmarks.joint import chain, layered, transformer, unet

FRACTIONS = (0.7, 0.5, 0.4, 0.3, 0.2)
GRAPHS: dict[str, Callable[[], Graph]] = {
    "chain of 100": lambda: chain(100),
    "transformer, 12 blocks": lambda: transformer(12),
    "transformer, 100 blocks": lambda: transformer(100),
    "layered, 100 steps": lambda: layered(100),
    "layered, 1000 steps": lambda: layered(1000),
}
SMALL: dict[str, Callable[[], Graph]] = {
    "layered, 4 steps": lambda: layered(4, 2, 3),
    "layered, 6 steps": lambda: layered(6, 3, 11),
    "layered, 8 steps": lambda: layered(8, 3, 1),
    "layered, 10 steps": lambda: layered(10, 4, 2),
    "layered, 12 steps": lambda: layered(12, 3, 7),
    "layered, 13 steps, 4 wide": lambda: layered(13, 4, 5),
    "layered, 15 steps": lambda: layered(15, 3, 9),
    "layered, 18 steps": lambda: layered(18, 3, 6),
    "U-Net of 2 levels": lambda: unet(2),
    "U-Net of 3 levels": lambda: unet(3),
    "U-Net of 5 levels": lambda: unet(5),
    "transformer, 1 block": lambda: transformer(1),
    "chain of 3": lambda: chain(3),
    "chain of 8": lambda: chain(8),
    "chain of 20": lambda: chain(20),
}
QUARTERS = (0.25, 0.5, 0.75)


def table() -> None:
    """Print costs and seconds at fractions of the arena that keeps all."""
    print(f"{'cost / cost of keeping all':<26}{'nodes':>6}", *(f"{f:>8.0%}" for f in FRACTIONS))
    for name, build in GRAPHS.items():
        graph = build()
        cells = [_cell(graph, fraction) for fraction in FRACTIONS]
        print(f"{name:<26}{len(graph.nodes):>6}", *(f"{cost:>8}" for cost, _ in cells))
        print(f"{'  seconds of planning':<32}", *(f"{took:>8.2f}" for _, took in cells))


def _cell(graph: Graph, fraction: float) -> tuple[str, float]:
    with collector_paused():  # as whenever a program is compiled
        return _planned(graph, fraction)


def _planned(graph: Graph, fraction: float) -> tuple[str, float]:
    start = time.process_time()
    planner = Planner(graph)
    base = planner.base
    try:
        point = planner.at(base.plan.output_bytes + int(fraction * base.plan.arena_bytes))
        text = f"{point.seconds / base.seconds:.3f}"
    except BudgetError:
        text = "-"
    return text, time.process_time() - start


def exact(seconds: float) -> None:
    """Print costs between the smallest plan found and that which keeps all, and the optimum."""
    from tests.schedule.exact import least_cost  # needs the extra `test`

    print(f"{'cost / optimum (proved)':<26}{'nodes':>6}", *(f"{q:>16.0%}" for q in QUARTERS))
    for name, build in SMALL.items():
        graph = build()
        planner = Planner(graph)
        base = planner.base
        lowest = min(point.peak_bytes for point in pareto(graph))
        cells = []
        for quarter in QUARTERS:
            budget = int(lowest + quarter * (base.peak_bytes - lowest))
            flow = Flow.of(graph, base.schedule.sequence)
            cost, bound = least_cost(flow, budget, seconds=seconds)
            ours = planner.at(budget).seconds / base.seconds
            proved = "" if cost - bound < 1e-4 else "?"
            cells.append(f"{ours:.4f} / {cost:.4f}{proved:<1}")
        print(f"{name:<26}{len(graph.nodes):>6}", *(f"{cell:>16}" for cell in cells))


def main() -> None:
    """Print the tables that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exact", action="store_true", help="compare small graphs with an oracle")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the oracle, a budget")
    arguments = parser.parse_args()
    if arguments.exact:
        exact(arguments.seconds)
    else:
        table()


if __name__ == "__main__":
    main()
