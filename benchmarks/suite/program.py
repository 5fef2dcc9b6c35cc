"""What a program of the table is: a NumPy function, its arguments, and the derivative measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Literal

import numpy as np

Array = Any  # of whichever package runs the function
Arguments = tuple[np.ndarray[Any, Any], ...]
Generator = np.random.Generator
Function = Callable[..., Array]
Derivative = Literal["value_and_grad", "jacobian"]


@dataclass(frozen=True)
class Program:
    """A function, its arguments, and the arguments `argnums` by which it is differentiated.

    `fixed` are keyword arguments that are constants of the program, such as a number of steps. With
    `weighed` the function returns an array: what is differentiated is its product with weights,
    summed, and the weights are the last argument.
    """

    name: str
    group: str
    function: Function
    draw: Callable[[Generator], Arguments]
    argnums: tuple[int, ...] = (0,)
    derivative: Derivative = "value_and_grad"
    weighed: bool = False
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self) -> Arguments:
        """Draw the arguments, the same every time."""
        random = np.random.default_rng(0)
        drawn = self.draw(random)
        if not self.weighed:
            return drawn
        return (*drawn, random.normal(size=np.shape(self.function(*drawn, **self.fixed))))

    def loss(self, function: Function) -> Function:
        """Return what is differentiated, for the NumPy function or its form in a peer."""
        bound = _bound(function, self.fixed)
        return _weighed(bound) if self.weighed else bound


def _bound(function: Function, fixed: Mapping[str, Any]) -> Function:
    if not fixed:
        return function

    def bound(*given: Array) -> Array:
        return function(*given, **fixed)

    return bound


def _weighed(function: Function) -> Function:
    def weighed(*given: Array) -> Array:
        return (given[-1] * function(*given[:-1])).sum()

    return weighed


def on(function: Function, modules: Mapping[str, Any]) -> Function:
    """Return the same code with other modules for names such as `np`, also in what it calls."""
    assert isinstance(function, FunctionType)
    names = {**function.__globals__, **modules}
    for name, value in function.__globals__.items():
        if isinstance(value, FunctionType) and value.__module__ == function.__module__:
            names[name] = FunctionType(value.__code__, names, name, value.__defaults__)
    return FunctionType(function.__code__, names, function.__name__, function.__defaults__)


def normal(*shapes: tuple[int, ...]) -> Callable[[Generator], Arguments]:
    """Return normally distributed arguments of these shapes."""
    return lambda random: tuple(np.asarray(random.normal(size=shape)) for shape in shapes)


def uniform(*shapes: tuple[int, ...]) -> Callable[[Generator], Arguments]:
    """Return arguments between 0 and 1 of these shapes."""
    return lambda random: tuple(np.asarray(random.uniform(size=shape)) for shape in shapes)
