"""Profiles: times that add up, bytes and operations that are right, arguments left alone."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.errors import TracingError
from adgraph.ir.types import ArrayType
from adgraph.profile import KernelTime, show_seconds
from adgraph.runtime.machine import WORKING_SETS, Limits, machine_limits

N = 60_000
X = np.linspace(0.1, 1.0, N)
SLOW = 60  # trips of the slow loop


@trace
def energy(x: Any, a: Any) -> Any:
    return np.sum(np.exp(-x) * x) + np.sum((a @ a) ** 2)


@trace
def relaxed(x: Any) -> Any:
    for _ in range(SLOW):
        x[1:-1] = 0.5 * x[1:-1] + 0.25 * (x[2:] + x[:-2])
    return np.sum(x**2)


@trace
def halvings(x: Any) -> Any:
    while np.sum(x * x) > 1e-3:
        x = 0.5 * x
    return np.sum(x)


def test_the_times_of_the_kernels_add_up_to_that_of_the_program() -> None:
    profile = energy.value_and_grad.profile(X, np.ones((100, 100)))
    assert len(profile.kernels) > 1
    assert profile.total == pytest.approx(profile.program, rel=0.25)
    assert profile.call > 0.8 * profile.program
    assert profile.overhead == pytest.approx(profile.call - profile.program, abs=profile.call)


def test_a_kernel_knows_its_line_bytes_operations_and_functions() -> None:
    profile = trace(lambda x: np.exp(x) * np.sin(x)).profile(X)
    (kernel,) = profile.kernels
    assert kernel.bytes == kernel.footprint == 16 * N
    assert kernel.functions == {"exp": N, "sin": N}
    assert kernel.flops == N * (10 + 15 + 1)
    assert kernel.calls == kernel.trips == 1
    assert kernel.location is not None
    assert "np.exp(x) * np.sin(x)" in kernel.location.source()
    assert 0 < kernel.least <= kernel.median
    assert kernel.bandwidth == pytest.approx(16 * N / kernel.least)


def test_what_a_derivative_adds_is_told_from_the_primal() -> None:
    loss = trace(lambda a, b: np.sum((a @ b) ** 2))
    square = np.ones((64, 64))
    orders = [k.order for k in loss.value_and_grad.profile(square, square).kernels]
    assert {0, 1} <= set(orders)


def test_a_loop_is_one_line_with_its_trips() -> None:
    slowest = max(relaxed.profile(X.copy()).kernels, key=lambda kernel: kernel.least)
    assert slowest.trips == SLOW
    assert slowest.bytes > SLOW * slowest.footprint / 4


def test_a_loop_of_unknown_length_is_measured() -> None:
    profile = halvings.grad.profile(100.0 * np.ones(10))
    assert max(kernel.trips for kernel in profile.kernels) > 1


def test_arguments_that_the_function_writes_are_as_they_were() -> None:
    x = X.copy()
    relaxed.profile(x)
    assert np.array_equal(x, X)


def test_static_and_keyword_arguments_are_taken() -> None:
    power = trace(lambda x, n: x**n, static_argnames="n")
    assert len(power.profile(X, n=3).kernels) == 1


def test_a_method_is_profiled_like_a_function() -> None:
    class Spring:
        @trace
        def energy(self, x: Any) -> Any:
            return np.sum(x * x)

    assert len(Spring().energy.profile(X).kernels) == 1


def test_a_type_in_place_of_an_array_is_refused() -> None:
    with pytest.raises(TracingError, match=r"profile was called with the type f64\[3\]"):
        energy.profile(ArrayType(np.dtype(float), (3,)), np.ones((2, 2)))


def test_the_table_has_a_row_for_every_kernel_and_says_what_is_counted() -> None:
    profile = energy.value_and_grad.profile(X, np.ones((100, 100)))
    title, head, *rows = str(profile).splitlines()
    assert title.startswith("program value_and_grad_energy: one call ")
    assert re.split(r"  +", head)[:3] == ["kernel", "line", "calls"]
    assert len(rows) == len(profile.kernels) + 3
    assert "test_profile.py:" in rows[0]
    assert any("60k exp" in row for row in rows)
    assert "an addition is 1, a function its weight" in rows[-1]


def test_the_html_has_the_same_cells_and_nothing_unescaped() -> None:
    profile = trace(lambda x: np.exp(x)).profile(X)
    page = profile._repr_html_()
    assert page.count("<tr>") == 2
    assert "<lambda>" not in page
    assert "60k exp" in page


def kernel(**changes: Any) -> KernelTime:
    facts: dict[str, Any] = {
        "name": "k", "location": None, "order": 0, "calls": 1, "trips": 1.0, "least": 1.0,
        "median": 1.0, "bytes": 100, "footprint": 100, "flops": 10.0, "functions": {},
    }  # fmt: skip
    return KernelTime(**{**facts, **changes})


LIMITS = Limits(((100, 400.0), (1000, 200.0)), 50.0)


def test_the_nearer_limit_bounds_a_kernel() -> None:
    assert kernel().bound(LIMITS) == ("memory", 0.25)
    assert kernel(flops=40.0).bound(LIMITS) == ("arithmetic", 0.8)
    assert kernel(footprint=101).bound(LIMITS) == ("memory", 0.5)
    assert kernel(footprint=10**9).bound(LIMITS) == ("memory", 0.5)


def test_a_kernel_too_short_for_the_clock_has_no_rates() -> None:
    instant = kernel(least=0.0)
    assert instant.bandwidth == instant.rate == 0.0


def test_the_limits_of_the_machine_are_measured_once() -> None:
    limits = machine_limits()
    assert limits is machine_limits()
    assert [size for size, _ in limits.bandwidths] == list(WORKING_SETS)
    assert all(rate > 1e8 for _, rate in limits.bandwidths)
    assert limits.flops > 1e8


def test_times_are_shown_in_the_unit_that_fits() -> None:
    assert show_seconds(2.5e-5) == "25 us"
    assert show_seconds(3.0) == "3 s"
