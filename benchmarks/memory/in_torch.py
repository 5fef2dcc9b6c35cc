"""PyTorch: its functions under NumPy's names, and `torch.utils.checkpoint` around groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from benchmarks.memory import programs
from benchmarks.memory.programs import CHECKPOINT, CONVOLVED, Array, Program, ways_of_peers
from benchmarks.suite.program import on

torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)

Run = Callable[[], Any]
Form = Callable[..., Array]
Marked = Callable[..., Array]  # (function, *arguments)
GROUP = 6  # layers


class Names:
    """NumPy's names for PyTorch's functions."""

    roll = staticmethod(torch.roll)
    tanh = staticmethod(torch.tanh)

    @staticmethod
    def repeat(x: Array, count: int, axis: int) -> Array:
        """Repeat every element."""
        return torch.repeat_interleave(x, count, axis)


NAMES = {"np": Names}


def ways(program: Program) -> tuple[str, ...]:
    """Name the ways to take the gradient."""
    return ways_of_peers(program)


def march(marked: Marked, x: Array, drift: Array) -> Array:
    """Groups of steps."""

    def steps(x: Array, drift: Array) -> Array:
        for _ in range(25):
            x = x + 0.01 * (torch.sin(x) - drift * x)
        return x

    for _ in range(programs.STEPS // 25):
        x = marked(steps, x, drift)
    return torch.sum(x**2)


def heat(marked: Marked, u: Array, conductivity: Array) -> Array:
    """Groups of steps."""

    def steps(u: Array, conductivity: Array) -> Array:
        for _ in range(20):
            moved = [torch.roll(u, by, axis) for axis in (0, 1) for by in (1, -1)]
            around = moved[0] + moved[1] + moved[2] + moved[3]
            u = u + 0.1 * conductivity / (1 + u * u) * (around - 4 * u)
        return u

    for _ in range(programs.HEAT_STEPS // 20):
        u = marked(steps, u, conductivity)
    return torch.sum(u**2)


def multilayer(marked: Marked, x: Array, *weights: Array) -> Array:
    """Groups of layers."""

    def layers(x: Array, *weights: Array) -> Array:
        for w in weights:
            x = torch.tanh(x @ w)
        return x

    for k in range(0, len(weights), GROUP):
        x = marked(layers, x, *weights[k : k + GROUP])
    return torch.sum(x**2)


def u_net(marked: Marked, x: Array, *weights: Array) -> Array:
    """Every convolution by itself, as it is written for NumPy."""
    halved, doubled = on(programs.halved, NAMES), on(programs.doubled, NAMES)
    return _u_net(marked, on(programs.convolution, NAMES), halved, doubled, x, *weights)


def convolved_u_net(marked: Marked, x: Array, *weights: Array) -> Array:
    """Every convolution by itself, with PyTorch's own functions of images."""
    return _u_net(marked, _convolution, _halved, _doubled, x, *weights)


def _u_net(
    marked: Marked,
    convolution: Form,
    halved: Form,
    doubled: Form,
    x: Array,
    *weights: Array,
) -> Array:
    levels = programs.LEVELS
    kept = []
    for k in range(levels):
        x = marked(convolution, x, weights[2 * k])
        x = marked(convolution, x, weights[2 * k + 1])
        kept.append(x)
        x = halved(x)
    for k in range(levels):
        x = torch.cat([doubled(x), kept[levels - 1 - k]])
        x = marked(convolution, x, weights[2 * levels + k])
    return torch.sum(x**2)


def _convolution(x: Array, w: Array) -> Array:
    around = functional.pad(x[None], (1, 1, 1, 1), mode="circular")
    return torch.tanh(functional.conv2d(around, w.permute(2, 3, 0, 1)))[0]


def _halved(x: Array) -> Array:
    return functional.avg_pool2d(x[None], 2)[0]


def _doubled(x: Array) -> Array:
    return functional.interpolate(x[None], scale_factor=2, mode="nearest")[0]


FORMS: dict[str, Form] = {f.__name__: f for f in (march, heat, multilayer, u_net)}


def _plain(function: Form, *given: Array) -> Array:
    return function(*given)


def _checkpointed(function: Form, *given: Array) -> Array:
    return checkpoint(function, *given, use_reentrant=False)


def prepare(program: Program, way: str, arguments: tuple[np.ndarray[Any, Any], ...]) -> Run:
    """Return a call of the gradient."""
    form = convolved_u_net if CONVOLVED in way else FORMS[program.function.__name__]
    marked = _checkpointed if CHECKPOINT in way else _plain
    own = [torch.from_numpy(a).requires_grad_() for a in arguments]
    _checkpointed(torch.sin, torch.ones(1, requires_grad=True)).backward()  # imports 160 MB

    def run() -> Any:
        value = form(marked, *own)
        gradients = torch.autograd.grad(value, own)
        return value.detach().numpy(), [g.numpy() for g in gradients]

    return run
