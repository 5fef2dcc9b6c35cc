"""What a program costs and how it was made, as data that prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from adgraph.analysis.cost import NOTHING, Cost, node_cost, primal_flops
from adgraph.analysis.liveness import residuals, scratch_types
from adgraph.control.tapes import taped_bytes
from adgraph.lower.backend import Backend, choose
from adgraph.lower.blas import PACKING_BYTES
from adgraph.lower.pool import SplitCall
from adgraph.lower.program import Program
from adgraph.lower.tiles import library_threads
from adgraph.passes.pipeline import Report
from adgraph.passes.rewrite import count_nodes
from adgraph.runtime.dispatch import Entry


@dataclass(frozen=True)
class Explanation:
    """The facts of one compiled program. `print` it."""

    name: str
    notes: tuple[str, ...]
    report: Report
    nodes: int
    kernels: int
    compiler: str
    cost: Cost
    primal_flops: float
    peak_bytes: int
    arena_bytes: int
    output_bytes: int
    scratch_bytes: int
    library_bytes: int  # of BLAS's own, not in the peak
    recomputed: int
    residuals: tuple[str, ...]
    residual_bytes: int
    taped_bytes: int
    split: tuple[str, ...]  # the kernels that run on several threads

    def __str__(self) -> str:
        lines = [f"program {self.name}: {self.nodes} nodes in {self.kernels} kernel calls"]
        lines += [f"  {note}" for note in self.notes]
        lines.append(f"  kernels compiled by {self.compiler}")
        lines += [
            f"  flops {self.cost.flops:.4g}, bytes read {self.cost.bytes_read:,.0f}, "
            f"written {self.cost.bytes_written:,.0f}; estimated {self.cost.seconds * 1e6:.4g} us",
            f"  peak {self.peak_bytes:,} bytes: arena {self.arena_bytes:,}, "
            f"outputs {self.output_bytes:,}",
        ]
        if 0 < self.primal_flops < self.cost.flops:
            lines.append(
                f"  {self.cost.flops / self.primal_flops:.2f} times the {self.primal_flops:.4g} "
                "flops of the function itself"
            )
        if self.scratch_bytes:
            lines.append(f"  a kernel works on up to {self.scratch_bytes:,} bytes of the arena")
        if self.library_bytes:
            lines.append(
                f"  BLAS and LAPACK keep up to {self.library_bytes:,} bytes of their own, once in "
                "a process: not in the peak"
            )
        if self.recomputed:
            lines.append(f"  {self.recomputed} kernels run again to save memory")
        lines.append(
            f"  residuals kept for the backward pass: {len(self.residuals)}, "
            f"{self.residual_bytes:,} bytes"
        )
        lines += [f"    {line}" for line in self.residuals]
        if self.taped_bytes:
            lines.append(f"  recorded by loops, one row a trip: {self.taped_bytes:,} bytes")
        lines += [f"  {line}" for line in self.split]
        return "\n".join([*lines, str(self.report)])


def explain_entry(entry: Entry, backend: Backend) -> Explanation:
    """Gather the facts of a compiled program."""
    program = entry.compiled.program
    runs = program.schedule.sequence  # with what runs again
    kept = residuals(program.graph, runs)
    return Explanation(
        entry.trace.graph.name,
        entry.trace.notes,
        entry.report,
        count_nodes(entry.graph),
        len(program.calls),
        str(choose(backend)),
        sum(map(node_cost, runs), NOTHING),
        primal_flops(program.graph),
        program.plan.peak_bytes,
        program.plan.arena_bytes,
        program.plan.output_bytes,
        max((sum(t.nbytes for t in scratch_types(n)) for n in program.graph.nodes), default=0),
        library_bytes(program),
        len(program.schedule.recomputed),
        tuple(map(str, kept)),
        sum(r.nbytes for r in kept),
        taped_bytes(entry.graph),
        tuple(_split_lines(program)),
    )


def library_bytes(program: Program) -> int:
    """Return the bytes that the libraries called by a program keep for themselves."""
    called = (kernel for call in program.calls for kernel in (call.kernel, *call.callees))
    routines = any(isinstance(kernel, tuple) for kernel in called)
    return library_threads() * PACKING_BYTES if routines else 0


def _split_lines(program: Program) -> Iterator[str]:
    for call in program.calls:
        if isinstance(call.kernel, SplitCall):
            split, at = call.kernel, call.node.origin.location
            name = f"{split.name} ({at})" if at else split.name
            yield f"{name} runs on {split.threads} threads, in {split.pieces} pieces"
