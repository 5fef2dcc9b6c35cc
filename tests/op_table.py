"""The table of samples: all rows of `tests/samples`, and what every op must have in it."""

from __future__ import annotations

import importlib
import pkgutil

from adgraph.ir.op import OPS
from tests import samples
from tests.samples.sample import Sample

# Ops that no program of the user's makes directly, each with the reason why it needs no row.
INTERNAL = {
    "const": "every program has literals",
    "copy": "the lowering makes it of an output that is an input",
    "index": "loops make it of their indices",
    **dict.fromkeys(("loop", "counted", "while", "cond"), "tests/control has programs with it"),
    **dict.fromkeys(("as_parts", "from_parts"), "the pass `parts` makes them at the interface"),
    "real_eig_of_pairs": "the pass `parts` makes it of `eig`",
    "between": "the pass `narrow` makes it of windows",
    "fused": "the pass of that name makes it",
    "kernel": "the lowering makes it of loops and branches",
}


def _gathered() -> tuple[Sample, ...]:
    names = sorted(m.name for m in pkgutil.iter_modules(samples.__path__) if m.name != "sample")
    modules = [importlib.import_module(f"tests.samples.{name}") for name in names]
    return tuple(sample for module in modules for sample in module.SAMPLES)


SAMPLES = _gathered()


def ops_without_a_row() -> set[str]:
    """Return the ops that no sample answers for."""
    answered = {f"{name}_of_pairs" for name in OPS}  # with the op whose complex form they are
    answered |= {name for name in OPS if "_of_complex_" in name}  # so here
    return set(OPS) - answered - set(INTERNAL) - {name for sample in SAMPLES for name in sample.ops}


def rows_without_an_op() -> set[str]:
    """Return the names in the table that belong to no op."""
    return {name for sample in SAMPLES for name in sample.ops} - set(OPS)
