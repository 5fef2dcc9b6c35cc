"""The passes in order, and the report of what they did.

`CANONICAL` runs on a program before its derivatives are taken, `FINAL` on derivatives, `COMPILED`
on the program that will be compiled: they are `SETTLED`, which decide what is computed, and `LAST`,
before which loops may be made to keep snapshots. `run_pipeline(graph, passes)` gives the graph and
a `Report`.
The environment variable `ADGRAPH_DUMP=simplify,cse` (or `all`) writes the text before and after
those passes to standard error, or into the folder `ADGRAPH_DUMP_DIR`.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from adgraph.ir.graph import Graph
from adgraph.ir.verify import verify as check
from adgraph.passes.cleanup import cse, dce, fold
from adgraph.passes.contract import contract
from adgraph.passes.gather import gather
from adgraph.passes.hoist import hoist
from adgraph.passes.interface import interface
from adgraph.passes.margins import margins
from adgraph.passes.parts import parts
from adgraph.passes.products import accumulate, products
from adgraph.passes.rewrite import Hits, count_nodes
from adgraph.passes.save import save
from adgraph.passes.simplify import factor, release, simplify
from adgraph.passes.stabilize import stabilize
from adgraph.passes.turns import turns
from adgraph.passes.unused import unused
from adgraph.passes.windows import narrow
from adgraph.passes.wraps import wraps

Dump = Callable[[str, Graph, Graph], None]


@dataclass(frozen=True)
class Pass:
    """A named function from graph to graph that keeps the meaning and counts what it did."""

    name: str
    function: Callable[[Graph, Hits], Graph]
    doc: str


FOLD = Pass("fold", fold, "compute constants")
SIMPLIFY = Pass("simplify", simplify, "replace expressions by simpler ones")
STABILIZE = Pass("stabilize", stabilize, "replace formulas by numerically better ones")
FACTOR = Pass("factor", factor, "leave little to be done for each element")
RELEASE = Pass("release", release, "remove stop_gradient")
CSE = Pass("cse", cse, "merge equal expressions")
DCE = Pass("dce", dce, "remove what no output needs")
INTERFACE = Pass("interface", interface, "simplify what loops and branches take and give")
PRODUCTS = Pass("products", products, "compute matrix products with less work")
ACCUMULATE = Pass("accumulate", accumulate, "add to a matrix product what another one gives")
GATHER = Pass("gather", gather, "add shifted slices of one value in one pass")
NARROW = Pass("narrow", narrow, "look at the elements of a window only")
MARGINS = Pass("margins", margins, "write the zeros around what a loop places once")
WRAPS = Pass("wraps", wraps, "copy an array that is rolled once, with margins")
TURNS = Pass("turns", turns, "run trips together whose arrays take turns")
UNUSED = Pass("unused", unused, "leave out results of decompositions that nothing reads")
PARTS = Pass("parts", parts, "compute with the parts of complex numbers")
CONTRACT = Pass("contract", contract, "round a product and the sum that reads it once")
HOIST = Pass("hoist", hoist, "move out of loops what every trip computes alike")
SAVE = Pass("save", save, "take out of checkpoints what their policies save, and remove names")

CANONICAL = (
    INTERFACE,
    FOLD,
    SIMPLIFY,
    STABILIZE,
    FACTOR,
    PRODUCTS,
    FOLD,
    CSE,
    INTERFACE,
    DCE,
    HOIST,
)
FINAL = (
    RELEASE,
    INTERFACE,
    FOLD,
    SIMPLIFY,
    FACTOR,
    PRODUCTS,
    GATHER,
    FOLD,
    CSE,
    INTERFACE,
    NARROW,
    DCE,
    HOIST,
)
SETTLED = (UNUSED, PARTS, *CANONICAL, *FINAL, CONTRACT)
LAST = (WRAPS, TURNS, MARGINS, ACCUMULATE, SAVE)
COMPILED = (*SETTLED, *LAST)


@dataclass(frozen=True)
class PassRecord:
    """What one pass did: nodes before and after (regions included), hits by rule, seconds."""

    name: str
    before: int
    after: int
    hits: Mapping[str, int]
    seconds: float


@dataclass(frozen=True)
class Report:
    """What the passes did to a graph; prints as a table."""

    graph: str
    records: tuple[PassRecord, ...]

    @property
    def seconds(self) -> float:
        """The time of all passes."""
        return sum(record.seconds for record in self.records)

    @property
    def hits(self) -> Mapping[str, int]:
        """The hits of all rules."""
        total: Hits = Counter()
        for record in self.records:
            total.update(record.hits)
        return total

    def __str__(self) -> str:
        lines = [f"{f'@{self.graph}':<12} {'before':>7} {'after':>7} {'ms':>8}  rules"]
        lines.extend(map(_row, self.records))
        if self.records:
            first, last = self.records[0].before, self.records[-1].after
            lines.append(_row(PassRecord("total", first, last, {}, self.seconds)))
        return "\n".join(lines)


def _row(record: PassRecord) -> str:
    ranked = sorted(record.hits.items(), key=lambda item: (-item[1], item[0]))
    rules = ", ".join(f"{name}: {count}" for name, count in ranked)
    numbers = f"{record.before:>7} {record.after:>7} {record.seconds * 1e3:>8.2f}"
    return f"{record.name:<12} {numbers}  {rules}".rstrip()


def run_pipeline(
    graph: Graph,
    passes: Sequence[Pass] = FINAL,
    *,
    verify: bool = False,
    dump: Dump | None = None,
) -> tuple[Graph, Report]:
    """Run passes in order; return the graph and a report.

    `verify` checks the graph after every pass. `dump(name, before, after)` is called for every
    pass, whatever the environment asks for. A pass that left a graph as it was is not run on the
    same one again.
    """
    records = []
    left: dict[Pass, Graph] = {}
    start = graph
    size = count_nodes(graph)
    for position, step in enumerate(passes):
        hits: Hits = Counter()
        began = time.perf_counter()
        if left.get(step) is graph:
            result = graph
        else:
            result = _run(step, graph, hits, verify=verify)
        if result is graph:
            left[step] = graph
        seconds = time.perf_counter() - began
        before, size = size, size if result is graph else count_nodes(result)
        records.append(PassRecord(step.name, before, size, dict(hits), seconds))
        if dump is not None:
            dump(step.name, graph, result)
        _dump_as_asked(step.name, position, start, graph, result)
        graph = result
    return graph, Report(graph.name, tuple(records))


def _run(step: Pass, graph: Graph, hits: Hits, *, verify: bool) -> Graph:
    try:
        result = step.function(graph, hits)
        return check(result) if verify else result
    except Exception as error:
        error.add_note(f"in the pass {step.name!r} over @{graph.name} ({len(graph.nodes)} nodes)")
        raise


def _dump_as_asked(name: str, position: int, start: Graph, before: Graph, after: Graph) -> None:
    asked = os.environ.get("ADGRAPH_DUMP", "").split(",")
    if name not in asked and "all" not in asked:
        return
    folder = os.environ.get("ADGRAPH_DUMP_DIR")
    for moment, graph in (("before", before), ("after", after)):
        if folder:
            path = Path(folder)
            path.mkdir(parents=True, exist_ok=True)
            file = f"{start.name}-{start.fingerprint[:8]}-{position:02d}-{name}-{moment}.txt"
            (path / file).write_text(f"{graph}\n", encoding="utf-8")
        else:
            sys.stderr.write(f"--- {moment} {name}\n{graph}\n")
