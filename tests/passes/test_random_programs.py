"""Every pass keeps the meaning of random programs and of their gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from adgraph.ir.graph import Graph
from adgraph.ir.parse import parse
from adgraph.ir.show import show
from adgraph.ir.verify import verify
from adgraph.passes.cleanup import cse, dce, fold
from adgraph.passes.pipeline import CANONICAL, FINAL, run_pipeline
from adgraph.passes.simplify import release, simplify
from adgraph.passes.stabilize import stabilize
from adgraph.transforms.vjp import vjp
from tests.strategies import Program, programs

EXACT = (dce, cse, fold, release)
ROUNDED = (simplify, stabilize)
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
examples = settings(max_examples=60, deadline=None, suppress_health_check=SLOW)


def same_bits(a: Any, b: Any) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    number = np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    return number and (a.dtype.kind != "f" or same_signs(a, b))


def same_signs(a: Any, b: Any) -> bool:
    return bool(np.all((np.signbit(a) == np.signbit(b)) | np.isnan(a)))


def assert_close(program: Program, after: Graph) -> None:
    bound = program.tolerance()
    for a, b in zip(program.run(), program.run(after), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        np.testing.assert_allclose(b, a, rtol=0, atol=bound if a.dtype.kind == "f" else 0)


def assert_sound(before: Graph, after: Graph) -> None:
    verify(after)
    assert [(v.type, v.name) for v in after.inputs] == [(v.type, v.name) for v in before.inputs]
    assert after.name == before.name
    assert str(parse(str(after), after.constants())) == str(after)


def gradient(program: Program) -> Program:
    """The joint program with cotangents of one."""
    active = [i for i, v in enumerate(program.graph.inputs) if v.type.inexact]
    joint = vjp(program.graph, active)
    seeds = joint.inputs[len(program.args) :]
    ones = tuple(np.ones(v.type.shape, v.type.dtype) for v in seeds)
    return Program(joint, program.args + ones)


@pytest.mark.parametrize("change", EXACT)
@examples
@given(programs())
def test_a_cleanup_pass_keeps_every_bit_and_adds_no_node(change: Any, program: Program) -> None:
    for case in (program, gradient(program)):
        after = change(case.graph)
        assert_sound(case.graph, after)
        assert all(map(same_bits, case.run(), case.run(after)))
        assert len(after.nodes) <= len(case.graph.nodes)


@pytest.mark.parametrize("change", ROUNDED)
@examples
@given(programs())
def test_a_rewriting_pass_keeps_values_to_rounding(change: Any, program: Program) -> None:
    after = change(program.graph)
    assert_sound(program.graph, after)
    assert_close(program, after)


@examples
@given(programs())
def test_simplification_keeps_gradients_to_rounding(program: Program) -> None:
    joint = gradient(program)
    after = simplify(joint.graph)
    assert_sound(joint.graph, after)
    assert_close(joint, after)


@examples
@given(programs())
def test_the_pipeline_keeps_values_and_is_idempotent(program: Program) -> None:
    canonical, _ = run_pipeline(program.graph, CANONICAL, verify=True)
    after, _ = run_pipeline(canonical, FINAL, verify=True)
    assert_close(program, after)
    again, _ = run_pipeline(after, FINAL, verify=True)
    assert show(again, canonical=True) == show(after, canonical=True)


@pytest.mark.parametrize("change", [*EXACT, *ROUNDED])
@examples
@given(programs())
def test_a_pass_has_nothing_left_to_do(change: Any, program: Program) -> None:
    once = change(program.graph)
    assert show(change(once), canonical=True) == show(once, canonical=True)


@examples
@given(programs())
def test_dead_outputs_leave_no_nodes(program: Program) -> None:
    after = dce(replace(program.graph, outputs=program.graph.inputs))
    assert after.nodes == ()
