"""The plan of a program's arrays and its curve of bytes against time: true, readable, drawn."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from adgraph import checkpoint, trace
from adgraph.analysis.cost import graph_cost, node_cost
from adgraph.api.function import Function
from adgraph.chart import Frame
from adgraph.curve import CurvePoint, MemoryCurve
from adgraph.errors import AdgraphError, BudgetError
from adgraph.lower.program import arrange
from adgraph.passes.pipeline import SETTLED, run_pipeline
from adgraph.passes.snapshots import Plan
from adgraph.runtime.fitting import Choice
from adgraph.timeline import Buffer, MemoryPlan

N = 96
W = np.random.default_rng(0).standard_normal((N, N)) / 10
X = np.random.default_rng(1).standard_normal((N, N))
RANDOM = np.random.default_rng(2)


def layer(w: Any, x: Any) -> Any:
    return np.tanh(np.tanh(w @ x) @ w)


def network(w: Any, x: Any) -> Any:
    for _ in range(4):
        x = layer(w, x)
    return np.sum(x**2)


def marked(w: Any, x: Any) -> Any:
    for _ in range(4):
        x = checkpoint(layer)(w, x)
    return np.sum(x**2)


def loop(w: Any, x: Any) -> Any:
    for _ in range(100):
        x = np.tanh(w @ x)
    return np.sum(x)


PROGRAMS = {
    "plain": trace(network),
    "checkpointed": trace(marked),
    "within a budget": trace(network, memory_budget=700_000),
    "loop": trace(loop),
}


def plan_of(name: str) -> MemoryPlan:
    return PROGRAMS[name].value_and_grad.plan(W, X if name != "loop" else X[0])


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_plan_has_the_bytes_of_the_program_and_arrays_that_do_not_overlap(name: str) -> None:
    plan = plan_of(name)
    facts = PROGRAMS[name].value_and_grad.explain(W, X if name != "loop" else X[0])
    assert plan.peak_bytes == facts.peak_bytes == plan.arena_bytes + plan.output_bytes
    assert plan.arena_bytes == facts.arena_bytes
    assert plan.recomputed == facts.recomputed
    inside = [b for b in plan.buffers if b.kind != "result"]
    assert max(b.offset + b.size for b in inside) <= plan.arena_bytes
    assert max(plan.live()) <= plan.arena_bytes
    for a, b in itertools.combinations(inside, 2):
        together = a.start < b.end and b.start < a.end
        assert not (together and a.offset < b.offset + b.size and b.offset < a.offset + a.size)


def test_what_is_kept_lies_there_until_the_backward_program_reads_it() -> None:
    plan = plan_of("plain")
    turn = plan.steps.index("backward")
    kept = [b for b in plan.buffers if b.kind == "forward" and b.start < turn < b.end]
    assert len(kept) >= 8
    assert all(b.location is not None and "test_memory.py" in str(b.location) for b in kept)


def test_a_plan_prints_its_peak_and_the_largest_arrays_there() -> None:
    text = str(plan_of("within a budget"))
    assert re.match(r"memory of value_and_grad_network: peak [\d,]+ bytes: arena [\d,]+", text)
    assert "of them again" in text.splitlines()[0]
    assert "f64[96,96] of tanh" in text
    assert "return np.tanh(np.tanh(w @ x) @ w)" in text


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_picture_of_a_plan_has_every_array_with_its_line(
    name: str, in_empty_folder: Path
) -> None:
    plan = plan_of(name)
    svg = plan.draw().svg
    root = ElementTree.fromstring(svg)
    arrays = [e for e in root.iter() if e.get("class") == "array"]
    assert len(arrays) == len(plan.buffers)
    assert sum(e.get("class") == "again" for e in root.iter()) == plan.recomputed
    tips = [e.findtext("{http://www.w3.org/2000/svg}title") or "" for e in arrays]
    assert any("test_memory.py" in tip and "bytes" not in tip for tip in tips)
    assert ("budget 700 kB" in svg) == (name == "within a budget")
    assert plan._repr_svg_() == svg
    assert plan.draw().save("plan.svg").read_text(encoding="utf-8") == svg


def test_a_plan_is_drawn_to_scale() -> None:
    buffers = tuple(
        Buffer("forward", offset, size, 0, 2, "f64[1] of add", None)
        for offset, size in ((0, 100), (100, 400))
    )
    svg = MemoryPlan("f", ("forward", "forward"), buffers, 500, 0).draw().svg
    low, high = map(float, re.findall(r"class='array'.*? height='([\d.]+)'", svg))
    assert high == pytest.approx(4 * low, rel=1e-3)


def test_a_program_of_nothing_has_a_plan_and_a_picture() -> None:
    plan = trace(lambda x: x[::2]).plan(np.ones(6))
    assert "memory of" in str(plan)
    assert "</svg>" in MemoryPlan("f", (), (), 0, 0).draw().svg


@pytest.mark.parametrize("name", ["plain", "within a budget", "checkpointed"])
def test_an_explanation_counts_what_runs_again(name: str) -> None:
    explained = {n: PROGRAMS[n].grad.explain(W, X) for n in ("plain", name)}
    again, once = explained[name], explained["plain"]
    products = 2 * N**3 * again.recomputed
    assert again.recomputed == 0 or again.cost.flops > once.cost.flops
    assert again.cost.flops <= once.cost.flops + products
    assert (again.cost.seconds > once.cost.seconds) == (again.recomputed > 0)
    program = PROGRAMS[name].grad.dispatch.entry((W, X), {}).compiled.program
    counted = sum(node_cost(node).flops for node in program.schedule.sequence)
    assert again.cost.flops == pytest.approx(counted)


# --- the curve --------------------------------------------------------------------------------


def test_less_memory_takes_more_time_and_every_point_is_a_budget_that_works() -> None:
    gradient = trace(network).grad
    curve = gradient.memory(W, X)
    peaks = [point.peak_bytes for point in curve.points]
    seconds = [point.seconds for point in curve.points]
    assert len(peaks) > 3
    assert sorted(peaks, reverse=True) == peaks
    assert sorted(seconds) == seconds
    assert curve.peak_bytes == gradient.explain(W, X).peak_bytes
    assert curve.points[0].how == "everything kept"
    assert re.fullmatch(r"\d+ kernels again", curve.points[-1].how)
    for point in (curve.points[1], curve.points[-1]):
        within = trace(network, memory_budget=point.peak_bytes).grad
        assert within.explain(W, X).peak_bytes <= point.peak_bytes
        np.testing.assert_array_equal(within(W, X), gradient(W, X))


def test_the_curve_of_a_loop_goes_down_to_a_few_snapshots() -> None:
    gradient = trace(loop).grad
    curve = gradient.memory(W, X[0])
    assert curve.peak_bytes == gradient.explain(W, X[0]).peak_bytes
    assert curve.least_bytes < 0.5 * curve.peak_bytes
    assert "snapshot" in curve.points[-1].how
    for point in (curve.points[1], curve.points[-1]):
        within = trace(loop, memory_budget=point.peak_bytes).grad
        assert within.plan(W, X[0]).peak_bytes <= point.peak_bytes
        np.testing.assert_allclose(within(W, X[0]), gradient(W, X[0]), rtol=1e-11, atol=1e-13)


def test_the_curve_does_not_depend_on_the_budget_of_the_function() -> None:
    within = trace(network, memory_budget=0.5).grad.memory(W, X)
    assert within == trace(network).grad.memory(W, X)


def test_a_curve_can_be_measured() -> None:
    curve = trace(network).grad.memory(W, X, measure=True)
    assert all(point.measured is not None and point.measured > 0 for point in curve.points)
    assert curve.ratio(curve.points[0]) == 1.0
    assert "measured" in str(curve)
    assert "measured time" in curve.draw().svg


CURVE = MemoryCurve(
    "grad_f", (CurvePoint(4_000_000, 1e-3, "all kept"), CurvePoint(1_000_000, 1.5e-3, "7 again"))
)


def test_a_curve_prints_as_a_table() -> None:
    assert str(CURVE).splitlines() == [
        "memory of grad_f",
        "      peak bytes  share  estimated    time  how",
        "       4,000,000   100%       1 ms   1.00x  all kept",
        "       1,000,000    25%     1.5 ms   1.50x  7 again",
    ]
    assert CURVE.least_bytes == 1_000_000


def test_a_curve_is_a_picture_of_its_points(in_empty_folder: Path) -> None:
    svg = CURVE.draw().svg
    ElementTree.fromstring(svg)
    assert svg.count("class='point'") == 2
    assert "4 MB to 1 MB at 1.50 times the time" in svg
    assert "1.50 times the time: 7 again" in svg
    assert CURVE._repr_svg_() == svg
    assert CURVE.draw().save("curve.svg") == Path("curve.svg")
    with pytest.raises(AdgraphError, match=r"'curve\.png'") as caught:
        CURVE.draw().save("curve.png")
    assert "instead: save('curve.svg')" in str(caught.value)
    with pytest.raises(AdgraphError, match="cannot be saved as 'curve'"):
        CURVE.draw().save("curve")


def test_numbers_on_axes_are_round_and_reach_above_the_highest() -> None:
    assert Frame.around(3, 1_550_848).top == 1_600_000
    assert Frame.around(3, 0).top > 0


def test_a_share_that_cannot_be_met_gives_the_least_there_is() -> None:
    half = trace(lambda x, w: np.sum(np.tanh(np.tanh(x @ w) @ w) ** 2), memory_budget=0.5)
    x, w = np.ones((30, 40)), np.eye(40)
    free = trace(half.function)
    np.testing.assert_array_equal(half(x, w), free(x, w))
    np.testing.assert_array_equal(half.jvp((x, w), (x, w))[1], free.jvp((x, w), (x, w))[1])
    np.testing.assert_array_equal(half.value_and_grad(x, w)[1], free.value_and_grad(x, w)[1])
    assert half.plan(x, w).peak_bytes <= free.plan(x, w).peak_bytes


def test_a_budget_in_bytes_that_cannot_be_met_is_an_error_that_carries_the_least() -> None:
    f = trace(lambda x, w: np.sum(np.tanh(x @ w) ** 2), memory_budget=np.int64(100))
    with pytest.raises(BudgetError) as found:
        f(np.ones((30, 40)), np.eye(40))
    assert found.value.least is not None
    assert found.value.least > 100


@pytest.mark.parametrize(
    ("name", "words"),
    [("plain", "which gives f64[96,96]"), ("loop", "the loop needs most")],
)
def test_the_bytes_that_an_error_names_add_up_to_the_least(name: str, words: str) -> None:
    within = trace(PROGRAMS[name].function, memory_budget=100)
    with pytest.raises(BudgetError, match="arguments are not counted") as found:
        within.value_and_grad(W, X if name != "loop" else X[0])
    text = str(found.value)
    assert words in text
    own, later, outputs = map(int, re.findall(r"(\d+) (?:bytes of what|that are|of outputs)", text))
    assert own + later + outputs == found.value.least


# --- the least budget -------------------------------------------------------------------------


def wide(w: Any, x: Any) -> Any:
    kept = [x]
    for k in range(12):
        kept.append(np.tanh(w @ kept[-1] + kept[k // 2]))
    return sum(np.sum(y**2) for y in kept)


def deep(w: Any, x: Any) -> Any:
    functions = np.sin, np.cos, np.tanh, np.arctan
    for k in np.random.default_rng(0).integers(4, size=30):
        x = functions[k](w @ x)
    return np.sum(x)


def damped(u: Any, k: Any) -> Any:
    for _ in range(10):
        u = k * u
        u = np.maximum(u, 0.1 * u)
    return np.sum(u**2)


def convolved(u: Any, k: Any) -> Any:
    for _ in range(10):
        s = 0.0
        for a, b in itertools.product(range(3), range(3)):
            s = s + k[a, b] * np.roll(u, (a - 1, b - 1), (0, 1))
        u = np.maximum(s, 0.1 * s)
    return np.sum(u**2)


def recorded(u: Any, k: Any) -> Any:
    for _ in range(60):
        u = u + 0.1 * np.sin(np.roll(u, 1, 0) @ k)
    return np.sum(u**2)


def nested(u: Any, k: Any) -> Any:
    for _ in range(20):
        y = u
        for _ in range(30):
            y = np.sin(y) * np.roll(y, 1) * k
        u = u + 0.1 * y
    return np.sum(u * u)


def in_blocks(u: Any, k: Any) -> Any:
    for _ in range(50):
        u = np.sin(u) * np.roll(u, 1)
    u = k * np.exp(u)
    for _ in range(70):
        u = np.sin(u) * u
    return np.sum(u)


def until(u: Any, least: Any) -> Any:
    while np.sum(u) > least:
        u = np.sin(u) * (0.9 + 0.1 * np.roll(u, 1))
    return np.sum(u)


def counted(u: Any, n: Any) -> Any:
    for _ in range(n):
        u = u + 0.1 * np.sin(np.roll(u, 1))
    return np.sum(u * u)


def written(u: Any, k: Any) -> Any:
    for _ in range(60):
        u[1:-1, 1:-1] += 0.1 * k * np.sin(u[:-2, 1:-1] + u[2:, 1:-1] - 2 * u[1:-1, 1:-1])
    return np.sum(u * u)


def written_once(u: Any, k: Any) -> Any:
    for j in range(1, 6):
        u[j] += np.sin(u[j - 1]) * k
    return np.sum(u * np.tanh(u @ u.T))


LEAST: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "straight": (wide, (W, X)),
    "straight, with rungs": (deep, (W[:8, :8], X[:8])),
    "checkpointed": (marked, (W, X)),
    "in place": (written_once, (X[:16, :16], 2.0)),
    "loop": (loop, (W, X[0])),
    "short loop": (damped, (X[:16, :16], 2.0)),
    "short loop of many kernels": (convolved, (X[:16, :16], W[:3, :3])),
    "loop of a product": (recorded, (X[:16, :16], W[:16, :16])),
    "loop in place": (written, (X[:18, :18], 0.5 + W[:16, :16])),
    "nested": (nested, (X[0], 0.5)),
    "loop after loop": (in_blocks, (RANDOM.random(5000), 0.5)),
    "while": (until, (RANDOM.random(96), np.asarray(1e-3))),
    "unknown length": (counted, (X[0], np.asarray(40))),
}


def gradient_within(name: str, budget: int | None) -> Function:
    return trace(LEAST[name][0], memory_budget=budget).grad


def refused(name: str, budget: int) -> int | None:
    """The least budget that an error names."""
    with pytest.raises(BudgetError) as caught:
        gradient_within(name, budget).explain(*LEAST[name][1])
    assert f"to work is {caught.value.least} bytes" in str(caught.value)
    return caught.value.least


@pytest.mark.parametrize("name", LEAST)
def test_the_least_budget_is_one_number_that_works_and_a_byte_less_is_refused(name: str) -> None:
    args = [np.array(x) for x in LEAST[name][1]]
    plain = gradient_within(name, None)
    least = refused(name, 1)
    assert least is not None
    assert least == plain.memory(*args).least_bytes <= plain.explain(*args).peak_bytes
    within = gradient_within(name, least)
    assert within.explain(*args).peak_bytes == least
    copies = [np.array(x) for x in args]
    np.testing.assert_allclose(within(*args), plain(*copies), rtol=1e-10, atol=1e-12)
    assert refused(name, least - 1) == least


@pytest.mark.parametrize("name", ["loop of a product", "loop after loop", "nested"])
def test_every_point_of_a_curve_is_a_budget_that_works(name: str) -> None:
    args = LEAST[name][1]
    for point in gradient_within(name, None).memory(*args).points[::4]:
        assert gradient_within(name, point.peak_bytes).explain(*args).peak_bytes <= point.peak_bytes
    share = trace(LEAST[name][0], memory_budget=1e-6).grad.explain(*args)
    assert share.peak_bytes == refused(name, 1)


# --- the choice of snapshots ----------------------------------------------------------------------


def heat(u: Any, k: Any) -> Any:
    for _ in range(400):
        around = np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1)
        u = u + 0.1 * k / (1 + u * u) * (around - 4 * u)
    return np.sum(u**2)


def test_no_other_snapshots_that_fit_are_much_faster_than_those_chosen() -> None:
    """What one trip hands on in passing, two keep for each other: the model knows."""
    u, k = RANDOM.normal(size=(32, 32)), RANDOM.uniform(size=(32, 32))
    graph = trace(heat).value_and_grad.dispatch.entry((u, k), {}).trace.graph
    settled, _ = run_pipeline(graph, SETTLED)
    found = {}
    for snapshots, segment in itertools.product((3, 4, 6, 8, 12, 17, 24, 34), (1, 2, 4)):
        plans = {0: Plan(snapshots, segment)}
        made, _ = Choice(plans, 0, 0.0).apply(settled)
        kernels, _, plan = arrange(made, None, 1)
        found[plan.peak_bytes] = graph_cost(kernels).seconds
    for budget in (12 * u.nbytes, 20 * u.nbytes, 30 * u.nbytes):
        chosen = trace(heat, memory_budget=budget).value_and_grad.explain(u, k)
        others = [seconds for nbytes, seconds in found.items() if nbytes <= budget]
        assert chosen.cost.seconds <= 1.03 * min(others)
