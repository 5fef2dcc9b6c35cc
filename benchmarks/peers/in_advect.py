"""Advect: the NumPy functions as they are (Python 3.12 and later).

A function is staged once if Advect can; else it is traced again at every call.
"""

from __future__ import annotations

from typing import Any

import advect
from advect.scipy import special

from benchmarks.peers.contestant import Contestant, LeftOutError, Run, argnums
from benchmarks.suite.program import Arguments, Program, on

LONG = "writes out the loop, an element at a time"
LEFT_OUT = {
    "gauss_seidel": LONG,
    "cholesky_loops": LONG,
    "lu_loops": LONG,
    "thomas": LONG,
    "sparse_product": LONG,
    "ode_fit": LONG,
}
NOT_STAGED = {  # len(x), np.diag, integer-array indices
    "cholesky",
    "triangular_solve",
    "lstm",
    "embedding",
    "segment_sum",
    "gaussian_mixture",
    "gaussian_process",
}
TRANSFORMS: dict[str, Any] = {
    "value_and_grad": advect.value_and_grad,
    "jacobian": advect.jacobian,
}


def derivative(program: Program, arguments: Arguments) -> Run:
    """Return a call of the derivative."""
    name = program.function.__name__
    if name in LEFT_OUT:
        raise LeftOutError(LEFT_OUT[name])
    loss = program.loss(on(program.function, {"special": special}))
    staged = loss if name in NOT_STAGED else advect.stage(loss, *arguments)
    run = TRANSFORMS[program.derivative](staged, argnums=argnums(program))
    return lambda: run(*arguments)


def contestant() -> Contestant:
    """Return Advect."""
    return Contestant("advect", derivative)
