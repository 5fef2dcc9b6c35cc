"""PyTorch, eager and compiled: NumPy's names on its functions, and what its expert writes instead.

A function of `FORMS` replaces that of `benchmarks.suite` with the same name.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch

from benchmarks.peers.contestant import Contestant, LeftOutError, Run, through_numpy
from benchmarks.suite import learning
from benchmarks.suite.program import Arguments, Array, Function, Program, on
from benchmarks.suite.stencils import five_points, seven_points

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)


class Names:
    """NumPy's names for PyTorch's functions, where they are not the same."""

    linalg = torch.linalg
    erf = staticmethod(torch.erf)
    arctan2 = staticmethod(torch.atan2)

    def __getattr__(self, name: str) -> Any:
        """Find the others in PyTorch."""
        return getattr(torch, name)

    @staticmethod
    def max(x: Array, axis: Any = (), keepdims: bool = False) -> Array:
        """Return the largest elements."""
        return torch.amax(x, axis, keepdims)

    @staticmethod
    def min(x: Array, axis: Any = (), keepdims: bool = False) -> Array:
        """Return the least elements."""
        return torch.amin(x, axis, keepdims)

    @staticmethod
    def maximum(x: Array, y: float) -> Array:
        """Return the larger of an element and a number."""
        return torch.clamp(x, min=y)

    @staticmethod
    def sqrt(x: Array) -> Array:
        """Return the square root, also of a number."""
        return torch.sqrt(x) if isinstance(x, torch.Tensor) else x**0.5

    @staticmethod
    def eye(n: int) -> Array:
        """Return the identity."""
        return torch.eye(n)


MODULES = {
    "np": Names(),
    "special": Names(),
    "LOWER": torch.from_numpy(learning.LOWER),
    "POSITIONS": torch.from_numpy(learning.POSITIONS),
}
ELEMENTS = "an element at a time: eager takes minutes"
LEFT_OUT = {
    "gauss_seidel": ELEMENTS,
    "cholesky_loops": ELEMENTS,
    "lu_loops": ELEMENTS,
}
LONG = "writes out the loop, and compiles for minutes"
NOT_COMPILED = {
    **LEFT_OUT,
    "arm": LONG,
    "jacobi_2d": LONG,
    "heat_3d": LONG,
    "fdtd_2d": LONG,
    "triangular_solve": LONG,
    "vertical_advection": LONG,
    "thomas": LONG,
    "lstm": LONG,
    "march": LONG,
    "ode_fit": LONG,
}


def logistic_regression(w: Array, b: Array, x: Array, y: Array) -> Array:
    """PyTorch's own loss."""
    loss = torch.nn.functional.binary_cross_entropy_with_logits(x @ w + b, y)
    return loss + 0.5e-3 * torch.sum(w**2)


def gram(a: Array) -> Array:
    """The same without NumPy's meaning of T."""
    return a.mT @ a


def jacobi_2d(a: Array, b: Array, steps: int) -> Array:
    """Clones that are written in place."""
    for _ in range(steps):
        b = b.clone()
        b[1:-1, 1:-1] = five_points(a)
        a = a.clone()
        a[1:-1, 1:-1] = five_points(b)
    return a


def heat_3d(a: Array, b: Array, steps: int) -> Array:
    """Clones that are written in place."""
    for _ in range(steps):
        b = b.clone()
        b[1:-1, 1:-1, 1:-1] = seven_points(a)
        a = a.clone()
        a[1:-1, 1:-1, 1:-1] = seven_points(b)
    return a


def fdtd_2d(ex: Array, ey: Array, hz: Array, source: Array, steps: int) -> Array:
    """In place: nothing is saved, for every step is linear."""
    ex, ey, hz = ex.clone(), ey.clone(), hz.clone()
    for t in range(steps):
        ey[0, :] = source[t]
        ey[1:, :] -= 0.5 * (hz[1:, :] - hz[:-1, :])
        ex[:, 1:] -= 0.5 * (hz[:, 1:] - hz[:, :-1])
        hz[:-1, :-1] -= 0.7 * (ex[:-1, 1:] - ex[:-1, :-1] + ey[1:, :-1] - ey[:-1, :-1])
    return hz


def triangular_solve(lower: Array, b: Array) -> Array:
    """The rows in a list."""
    x: list[Array] = [b[0] / lower[0, 0]]
    for i in range(1, len(b)):
        x.append((b[i] - lower[i, :i] @ torch.stack(x)) / lower[i, i])
    return torch.stack(x)


def vertical_advection(old: Array, u: Array, w: Array, before: Array, forcing: Array) -> Array:
    """Lists of levels, and all that needs no loop outside."""
    dt = 0.15
    between = 0.125 * (w[1:, :, 1:] + w[:-1, :, 1:])
    none = torch.zeros_like(between[:, :, :1])
    below = torch.cat([none, -between], dim=2)
    above = torch.cat([between, none], dim=2)
    step = torch.cat([none, u[:, :, 1:] - u[:, :, :-1], none], dim=2)
    known = dt * before + forcing + old + below * step[:, :, :-1] - above * step[:, :, 1:]
    levels = zip(below.unbind(2), above.unbind(2), known.unbind(2), strict=True)
    upper = right = none[:, :, 0]
    uppers, rights = [], []
    for low, high, rhs in levels:
        pivot = 1.0 / (dt - low - high - upper * low)
        upper, right = high * pivot, (rhs - right * low) * pivot
        uppers.append(upper)
        rights.append(right)
    new = rights[-1]
    out = [new]
    for k in range(len(rights) - 2, -1, -1):
        new = rights[k] - uppers[k] * new
        out.append(new)
    return dt * (torch.stack(out[::-1], dim=2) - before)


def thomas(a: Array, b: Array, c: Array, d: Array) -> Array:
    """Lists of scalars."""
    a, b, c, d = (x.unbind() for x in (a, b, c, d))
    pivots, rights = [b[0]], [d[0]]
    for i in range(1, len(d)):
        w = a[i] / pivots[-1]
        pivots.append(b[i] - w * c[i - 1])
        rights.append(d[i] - w * rights[-1])
    x = [rights[-1] / pivots[-1]]
    for i in range(len(d) - 2, -1, -1):
        x.append((rights[i] - c[i] * x[-1]) / pivots[i])
    return torch.stack(x[::-1])


def lstm(x: Array, wx: Array, wh: Array, b: Array) -> Array:
    """The products of the inputs first, the states in a list."""
    size = wh.shape[1]
    given = x @ wx.T + b
    state, cell = torch.zeros(size), torch.zeros(size)
    states = []
    for t in range(len(x)):
        gates = given[t] + wh @ state
        opened = torch.sigmoid(gates[: 3 * size])
        cell = opened[size : 2 * size] * cell + opened[:size] * torch.tanh(gates[3 * size :])
        state = opened[2 * size :] * torch.tanh(cell)
        states.append(state)
    return torch.stack(states)


def sparse_product(pointers: Array, columns: Array, data: Array, x: Array) -> Array:
    """One gather and one scatter."""
    count = len(pointers) - 1
    rows = torch.repeat_interleave(torch.arange(count), torch.diff(pointers))
    return torch.zeros(count).index_add(0, rows, data * x[columns])


def segment_sum(values: Array, segments: Array) -> Array:
    """A scatter."""
    return torch.zeros(1000).index_add(0, segments, values) ** 2


FORMS: dict[str, Function] = {
    form.__name__: form
    for form in (
        logistic_regression,
        gram,
        jacobi_2d,
        heat_3d,
        fdtd_2d,
        triangular_solve,
        vertical_advection,
        thomas,
        lstm,
        sparse_product,
        segment_sum,
    )
}


def _loss(program: Program, left_out: dict[str, str]) -> Function:
    name = program.function.__name__
    if name in left_out:
        raise LeftOutError(left_out[name])
    return program.loss(FORMS.get(name) or on(program.function, MODULES))


def _derivative(loss: Function, program: Program, arguments: Arguments) -> Run:
    if program.derivative == "jacobian":
        jacobian = torch.func.jacrev(loss, program.argnums[0])
        return lambda: jacobian(*_tensors(arguments)).detach().numpy()
    if through_numpy(program):
        return lambda: _gradient(loss, program, _tensors(arguments, program.argnums))
    own = _tensors(arguments, program.argnums)
    return lambda: _gradient(loss, program, own)


def _tensors(arguments: Arguments, active: tuple[int, ...] = ()) -> list[Any]:
    tensors = [torch.from_numpy(a) for a in arguments]
    for i in active:
        tensors[i] = tensors[i].detach().requires_grad_()
    return tensors


def _gradient(loss: Function, program: Program, tensors: list[Any]) -> Any:
    value = loss(*tensors)
    found = torch.autograd.grad(value, [tensors[i] for i in program.argnums])
    return value.detach().numpy(), [g.numpy() for g in found]


def eager(program: Program, arguments: Arguments) -> Run:
    """Return a call of the derivative."""
    return _derivative(_loss(program, LEFT_OUT), program, arguments)


def compiled(program: Program, arguments: Arguments) -> Run:
    """Return a call of the derivative of the compiled function."""
    torch.compiler.reset()
    return _derivative(torch.compile(_loss(program, NOT_COMPILED)), program, arguments)


def contestant() -> Contestant:
    """Return PyTorch."""
    return Contestant("torch", eager)


def compiled_contestant() -> Contestant:
    """Return torch.compile."""
    return Contestant("torch.compile", compiled)
