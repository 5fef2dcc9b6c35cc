"""PyTensor: the NumPy functions on its symbolic tensors, compiled in its default mode."""

from __future__ import annotations

from typing import Any

import pytensor
import pytensor.tensor as pt

from benchmarks.peers.contestant import Contestant, LeftOutError, Run
from benchmarks.suite.program import Arguments, Array, Program, on


class Names:
    """NumPy's names for PyTensor's functions, where they are not the same."""

    linalg = pt.linalg

    def __getattr__(self, name: str) -> Any:
        """Find the others in PyTensor."""
        return getattr(pt, name)

    @staticmethod
    def min(x: Array, axis: Any = None) -> Array:
        """Return the least elements."""
        return pt.min(x, axis=axis)


MODULES = {"np": Names(), "special": pt}
LOOP = "a loop would need a scan of its own, which is not written"
LEFT_OUT = {
    "jacobi_2d": LOOP,
    "heat_3d": LOOP,
    "fdtd_2d": LOOP,
    "gauss_seidel": LOOP,
    "triangular_solve": LOOP,
    "vertical_advection": LOOP,
    "cholesky_loops": LOOP,
    "lu_loops": LOOP,
    "thomas": LOOP,
    "lstm": LOOP,
    "march": LOOP,
    "sparse_product": LOOP,
    "ode_fit": LOOP,
    "black_scholes": "erf is right to 2e-8 only",
    "arm": "Numba compiles what is written out for minutes",
}


def segment_sum(values: Array, segments: Array) -> Array:
    """A scatter."""
    return pt.inc_subtensor(pt.zeros(1000)[segments], values) ** 2


FORMS = {"segment_sum": segment_sum}


def derivative(program: Program, arguments: Arguments) -> Run:
    """Return a call of the derivative."""
    name = program.function.__name__
    if name in LEFT_OUT:
        raise LeftOutError(LEFT_OUT[name])
    symbols = [pt.tensor(f"a{i}", dtype=a.dtype, shape=a.shape) for i, a in enumerate(arguments)]
    value = program.loss(FORMS.get(name) or on(program.function, MODULES))(*symbols)
    by = [symbols[i] for i in program.argnums]
    if program.derivative == "jacobian":
        results = [pytensor.gradient.jacobian(value, by[0])]
    else:
        results = [value, *pytensor.grad(value, by)]
    run = pytensor.function(symbols, results, on_unused_input="ignore")
    run.trust_input = True
    return lambda: run(*arguments)


def contestant() -> Contestant:
    """Return PyTensor."""
    return Contestant("pytensor", derivative)
