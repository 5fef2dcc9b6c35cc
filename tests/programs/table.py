"""All programs."""

from __future__ import annotations

from tests.programs import (
    branches,
    dynamics,
    forms,
    iteration,
    linear_algebra,
    masks,
    recurrences,
    sequences,
    stencils,
)
from tests.programs.program import Program

MODULES = (
    stencils,
    linear_algebra,
    recurrences,
    dynamics,
    iteration,
    branches,
    masks,
    sequences,
    forms,
)
PROGRAMS: tuple[Program, ...] = tuple(p for module in MODULES for p in module.PROGRAMS)
