"""The programs of the table, by group. To add one, write a NumPy function and a row of `PROGRAMS`.

A function finds `np` among its globals, so that `program.on` can give the same code another array
module. What a peer's expert writes otherwise stands in `benchmarks.peers`, under the same name.
"""

from __future__ import annotations

from benchmarks.suite import dense, fused, gather, latency, learning, recurrences, stencils
from benchmarks.suite.program import Program

PROGRAMS: tuple[Program, ...] = (
    *latency.PROGRAMS,
    *fused.PROGRAMS,
    *dense.PROGRAMS,
    *stencils.PROGRAMS,
    *recurrences.PROGRAMS,
    *gather.PROGRAMS,
    *learning.PROGRAMS,
)
GROUPS = tuple(dict.fromkeys(program.group for program in PROGRAMS))
