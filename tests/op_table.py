"""The table of samples: all rows of `tests/samples`, and what every op must have in it."""

from __future__ import annotations

import functools
import importlib
import pkgutil
import warnings

import numpy as np

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
    "real_eigvals_of_pairs": "the pass `parts` makes it of `eigvals`",
    **dict.fromkeys(
        ("eigvalsh", "eigvals", "svdvals"),
        "the pass `unused` makes it of a decomposition: tests/passes/test_unused.py",
    ),
    "between": "the pass `narrow` makes it of windows",
    **dict.fromkeys(
        ("multiply_add", "multiply_subtract", "subtract_product", "add_multiple_at"),
        "the pass `contract` makes it of products and sums: tests/passes/test_contract.py",
    ),
    "fused": "the pass of that name makes it",
    "kernel": "the lowering makes it of loops and branches",
    "assembly": "the lowering makes it of joins and what computes their pieces",
}
# Ops that no complex number reaches, though NumPy's functions of those names may take them.
REAL = {
    "wrap_index": "positions are integers",
    **dict.fromkeys(("any", "all"), "they fold bools"),
    "root": "norms are real",
    "sign": "of a complex number it is z / |z|",
    "tanh_slope": "of a complex number it is 1 - y**2",
    **dict.fromkeys(("argsort", "argselect"), "complex numbers are sorted by part after part"),
    **dict.fromkeys(("searchsorted", "evensearch"), "the interface refuses them by name"),
    **dict.fromkeys(
        (name for name in OPS if name.endswith("_of_integer")),
        "SciPy's loops for complex numbers take real orders",
    ),
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


def ops_of_real_numbers(computed: set[str], refusing: set[str]) -> set[str]:
    """Return the ops among those that no complex number reaches of which nobody says why.

    `computed` are the ops that one reaches, `refusing` those that refuse it, as NumPy does.
    """
    answered = {f"{name}_of_pairs" for name in OPS} | {
        name for name in OPS if "_of_complex_" in name
    }
    rows = {name: [s for s in SAMPLES if name in s.ops] for name in OPS}
    refused = {
        name
        for name in OPS
        if rows[name] and all(numpy_refuses_complex(s.name) for s in rows[name])
    }
    return set(OPS) - computed - refusing - refused - answered - set(INTERNAL) - set(REAL)


@functools.cache
def numpy_refuses_complex(name: str) -> bool:
    """Tell whether NumPy has no loop for the complex arguments of a row."""
    sample = next(s for s in SAMPLES if s.name == name)
    args = sample.arguments(np.random.default_rng(0), "c16")
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
        try:
            sample.function(*args)
        except TypeError:
            return True
    return False
