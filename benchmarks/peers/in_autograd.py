"""autograd: the NumPy functions with its array module; arrays cannot be written in place."""

from __future__ import annotations

from typing import Any

import autograd
import autograd.numpy as anp
import autograd.scipy.special as special

from benchmarks.peers.contestant import Contestant, LeftOutError, Run, argnums
from benchmarks.suite.program import Arguments, Array, Program, on

MODULES = {"np": anp, "special": special}
IN_PLACE = "cannot differentiate writes in place"
LEFT_OUT = {
    "jacobi_2d": IN_PLACE,
    "heat_3d": IN_PLACE,
    "fdtd_2d": IN_PLACE,
    "gauss_seidel": IN_PLACE,
    "triangular_solve": IN_PLACE,
    "vertical_advection": IN_PLACE,
    "cholesky_loops": IN_PLACE,
    "lu_loops": IN_PLACE,
    "thomas": IN_PLACE,
    "segment_sum": IN_PLACE,
    "sparse_product": IN_PLACE,
}
TRANSFORMS: dict[str, Any] = {
    "value_and_grad": autograd.value_and_grad,
    "jacobian": autograd.jacobian,
}


def lstm(x: Array, wx: Array, wh: Array, b: Array) -> Array:
    """The states in a list."""
    size = wh.shape[1]
    state, cell = anp.zeros(size), anp.zeros(size)
    states = []
    for t in range(len(x)):
        gates = anp.dot(wx, x[t]) + anp.dot(wh, state) + b
        opened = 1.0 / (1.0 + anp.exp(-gates[: 3 * size]))
        cell = opened[size : 2 * size] * cell + opened[:size] * anp.tanh(gates[3 * size :])
        state = opened[2 * size :] * anp.tanh(cell)
        states.append(state)
    return anp.array(states)


FORMS = {"lstm": lstm}


def derivative(program: Program, arguments: Arguments) -> Run:
    """Return a call of the derivative."""
    name = program.function.__name__
    if name in LEFT_OUT:
        raise LeftOutError(LEFT_OUT[name])
    loss = program.loss(FORMS.get(name) or on(program.function, MODULES))
    run = TRANSFORMS[program.derivative](loss, argnums(program))
    return lambda: run(*arguments)


def contestant() -> Contestant:
    """Return autograd."""
    return Contestant("autograd", derivative)
