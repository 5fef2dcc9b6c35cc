"""CasADi: scalar programs as expression graphs, generated C, compiled by gcc, on raw buffers."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

import casadi
import numpy as np

from benchmarks.peers.contestant import Contestant, LeftOutError, Run
from benchmarks.suite.program import Arguments, Array, Program, on

PROGRAMS = ("polynomial", "two_links", "rosenbrock", "arm")
FLAGS = ("-O3", "-march=native", "-fPIC", "-shared")


class Names:
    """NumPy's names for CasADi's functions."""

    cos = staticmethod(casadi.cos)
    sin = staticmethod(casadi.sin)

    @staticmethod
    def sum(x: Array) -> Array:
        """Return the sum of a vector."""
        return casadi.sum1(x)

    @staticmethod
    def stack(items: list[Array]) -> Array:
        """Return a vector."""
        return casadi.vertcat(*items)


def derivative(program: Program, arguments: Arguments) -> Run:
    """Return a call of the derivative."""
    if program.function.__name__ not in PROGRAMS:
        raise LeftOutError("only the scalar programs are written for it")
    function = _function(program, arguments)
    folder = tempfile.mkdtemp(prefix="casadi-")
    source, library = Path(folder, "derivative.c"), Path(folder, "derivative.so")
    function.generate(source.name, {"with_header": False})
    Path(source.name).rename(source)
    subprocess.run(["gcc", *FLAGS, str(source), "-o", str(library), "-lm"], check=True)
    return _on_buffers(casadi.external("derivative", str(library)), arguments)


def _function(program: Program, arguments: Arguments) -> Any:
    symbols = [casadi.SX.sym(f"a{i}", a.size) for i, a in enumerate(arguments)]
    value = program.loss(on(program.function, {"np": Names()}))(*symbols)
    by = symbols[program.argnums[0]]
    if program.derivative == "jacobian":
        results = [casadi.densify(casadi.jacobian(value, by)).T]  # by columns, so ours by rows
    else:
        results = [value, casadi.densify(casadi.gradient(value, by))]
    return casadi.Function("derivative", symbols, results)


def _on_buffers(function: Any, arguments: Arguments) -> Run:
    buffer, call = function.buffer()
    for i, a in enumerate(arguments):
        buffer.set_arg(i, memoryview(a))
    results = [np.zeros(function.size_out(i)).squeeze() for i in range(function.n_out())]
    for i, result in enumerate(results):
        buffer.set_res(i, memoryview(result))

    def run() -> list[Array]:
        call()
        return results

    run.kept = buffer, arguments, function  # type: ignore[attr-defined]
    return run


def contestant() -> Contestant:
    """Return CasADi."""
    return Contestant("casadi", derivative)
