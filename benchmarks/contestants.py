"""The packages that are compared: how each runs a program and its derivative.

`contestants()` returns those that are installed, adgraph last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

import adgraph
from benchmarks.programs import Arguments, Program, on

Run = Callable[[], Any]  # one call, over when it returns


@dataclass(frozen=True)
class Contestant:
    """A package: `primal` and `derivative` make a run of a program, not compiled yet."""

    name: str
    primal: Callable[[Program, Arguments], Run]
    derivative: Callable[[Program, Arguments], Run] | None
    compiles: bool = True


def contestants() -> list[Contestant]:
    """Return what is installed."""
    found = [Contestant("numpy", _plain, None, compiles=False)]
    for name, make in (("autograd", _autograd), ("jax", _jax)):
        if find_spec(name):
            found.append(make())
    return [*found, _adgraph()]


def missing() -> list[str]:
    """Return the packages that would be compared if they were installed."""
    return [name for name in ("autograd", "jax") if not find_spec(name)]


def _plain(program: Program, arguments: Arguments) -> Run:
    return _bound(program.function, arguments)


def _bound(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Run:
    return lambda: function(*arguments)


def _argnums(program: Program) -> int | tuple[int, ...]:
    return program.argnums if len(program.argnums) > 1 else program.argnums[0]


def _adgraph() -> Contestant:
    derivatives: dict[str, Callable[..., Any]] = {
        "value_and_grad": adgraph.value_and_grad,
        "jacobian": adgraph.jacobian,
        "hessian": adgraph.hessian,
    }

    def primal(program: Program, arguments: Arguments) -> Run:
        return _bound(adgraph.trace(program.function), arguments)

    def derivative(program: Program, arguments: Arguments) -> Run:
        transform = derivatives[program.derivative]
        return _bound(transform(program.function, argnums=_argnums(program)), arguments)

    return Contestant("adgraph", primal, derivative)


def _autograd() -> Contestant:
    autograd: Any = import_module("autograd")
    array_module = import_module("autograd.numpy")
    derivatives: dict[str, Callable[..., Any]] = {
        "value_and_grad": autograd.value_and_grad,
        "jacobian": autograd.jacobian,
        "hessian": autograd.hessian,
    }

    def primal(program: Program, arguments: Arguments) -> Run:
        return _bound(on(program.function, array_module), arguments)

    def derivative(program: Program, arguments: Arguments) -> Run:
        transform = derivatives[program.derivative]
        function = transform(on(program.function, array_module), _argnums(program))
        return _bound(function, arguments)

    return Contestant("autograd", primal, derivative, compiles=False)


def _jax() -> Contestant:
    jax: Any = import_module("jax")
    jax.config.update("jax_enable_x64", True)
    derivatives: dict[str, Callable[..., Any]] = {
        "value_and_grad": jax.value_and_grad,
        "jacobian": jax.jacfwd,
        "hessian": jax.hessian,
    }

    def waiting(function: Callable[..., Any], arguments: Arguments) -> Run:
        run = jax.jit(function)
        own = [jax.numpy.asarray(a) for a in arguments]
        return lambda: jax.block_until_ready(run(*own))

    def primal(program: Program, arguments: Arguments) -> Run:
        return waiting(on(program.function, jax.numpy), arguments)

    def derivative(program: Program, arguments: Arguments) -> Run:
        transform = derivatives[program.derivative]
        return waiting(transform(on(program.function, jax.numpy), _argnums(program)), arguments)

    return Contestant("jax", primal, derivative)


def leaves(result: Any) -> list[np.ndarray[Any, Any]]:
    """Return the arrays of a result, whatever its package nests them in."""
    if isinstance(result, (tuple, list)):
        return [leaf for item in result for leaf in leaves(item)]
    return [np.asarray(result)]
