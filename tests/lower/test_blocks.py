"""Loops that hand arrays over run block by block where columns are independent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph.ir.dims import Symbol, symbol_dim
from adgraph.ir.graph import Graph
from adgraph.ir.types import ArrayType
from adgraph.lower import blocks, handover
from adgraph.lower.blocks import in_blocks
from adgraph.lower.nest import ONCE, Access, Load, Loop, Range, Statement, Store
from adgraph.lower.storage import Kernel
from tests.lower.schedules import FLOAT, ROW, arrays_of, element, random_body, run

COUNT, TRIPS = 19, 6


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few columns, also where little is handed over."""
    monkeypatch.setattr(handover, "LEAST", 0)
    for width in ("NARROWEST", "WIDEST", "COLUMNS"):
        monkeypatch.setattr(blocks, width, 4)


# --- statements -----------------------------------------------------------------------------------


class Loops:
    """Two loops over nests, with scratch of a row for each trip between them."""

    def __init__(self) -> None:
        self.kernel = Kernel(Graph((), (), (), "kernel"))
        self.names = self.kernel.names
        self.symbols = (Symbol("k", 0, TRIPS - 1), Symbol("m", 0, TRIPS - 1))
        self.kernel.symbols.update({s: s.name for s in self.symbols})
        self.slot = self.kernel.slot(ArrayType(FLOAT, (TRIPS, COUNT)))

    def nest(self, *body: Statement) -> Loop:
        return Loop("i0", self.names.sizes.number(COUNT), body)

    def tape(self, number: int, place: int = 0) -> Access:
        row = symbol_dim(self.symbols[number]) * COUNT
        return element(self.names, "s0", row + place, ("i0", "1"))

    def array(self, pointer: str, number: int | None, place: int = 0, step: str = "1") -> Access:
        row = 0 if number is None else symbol_dim(self.symbols[number]) * ROW
        return element(self.names, pointer, row + place, ("i0", step))

    def forward(self, *nests: Statement) -> Range:
        """The first loop: it puts a row of `a0` on the tape, then runs other nests."""
        taped = self.nest(Load("x", self.array("a0", 0)), Store(self.tape(0), "x"))
        return Range("k", "0", str(TRIPS), "1", (taped, *nests))

    def backward(self, *nests: Statement) -> Range:
        return Range("m", str(TRIPS - 1), "-1", "-1", nests)

    def ran(self, statements: tuple[Statement, ...], seed: int = 0) -> dict[str, Any]:
        arrays = arrays_of(np.random.default_rng(seed), "a0", "b0", "b1", "s0")
        found = run(statements, self.names, arrays)
        return {name: found[name] for name in ("a0", "b0", "b1")}

    def joined(self, *statements: Statement) -> tuple[Statement, ...] | None:
        """The statements in blocks, if they can be, which give what they gave before."""
        joined = in_blocks(statements, self.kernel)
        if joined is not None:
            before, after = self.ran(statements), self.ran(joined)
            for name, array in before.items():
                np.testing.assert_array_equal(after[name], array, name)
        return joined


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("strays", [False, True])
@pytest.mark.parametrize("seed", range(100))
def test_random_loops_keep_their_value(seed: int, strays: bool) -> None:
    random = np.random.default_rng(seed)
    loops = Loops()

    def places(number: int | None) -> Callable[[], Access]:
        def place() -> Access:
            shift = int(random.choice([0, 0, 0, 1])) if strays else 0
            pointer = str(random.choice(["a0", "b0", "b1", "s0"]))
            if pointer == "s0" and number is not None:
                return loops.tape(number, shift if random.integers(2) else 0)
            pointer = "a0" if pointer == "s0" else pointer
            row = number if pointer != "b0" else None
            return loops.array(pointer, row, shift, "1" if pointer != "b1" else "2")

        return place

    def nests(number: int | None) -> list[Loop]:
        count = int(random.integers(1, 3))
        return [loops.nest(*random_body(random, loops.names, places(number))) for _ in range(count)]

    given = (loops.forward(*nests(0)), *nests(None), loops.backward(*nests(1)))
    joined = in_blocks(given, loops.kernel)
    if not strays:
        assert joined is not None
        assert loops.slot.size == TRIPS * 4
    if joined is not None:
        before, after = loops.ran(given, seed), loops.ran(joined, seed)
        for name, array in before.items():
            np.testing.assert_allclose(after[name], array, rtol=1e-12, err_msg=name)


@pytest.mark.usefixtures("narrow")
def test_scratch_becomes_as_small_as_a_block() -> None:
    loops = Loops()
    read = loops.nest(Load("y", loops.tape(1)), Store(loops.array("b0", None), "y", ONCE))
    joined = loops.joined(loops.forward(), loops.backward(read))
    assert joined is not None
    assert len(joined) == 1
    assert loops.slot.size == TRIPS * 4


@pytest.mark.usefixtures("narrow")
def test_columns_that_need_their_neighbours_stay_together() -> None:
    loops = Loops()
    read = loops.nest(Load("y", loops.tape(1, 1)), Store(loops.array("b0", None), "y"))
    assert loops.joined(loops.forward(), loops.backward(read)) is None
    assert loops.slot.size == TRIPS * COUNT


@pytest.mark.usefixtures("narrow")
def test_scratch_that_others_use_stays_whole() -> None:
    loops = Loops()
    read = loops.nest(Load("y", loops.tape(1)), Store(loops.array("b0", None), "y"))
    late = Load("z", element(loops.names, "s0", 3))
    store = Store(element(loops.names, "b1", 0), "z")
    assert loops.joined(loops.forward(), loops.backward(read), late, store) is None


@pytest.mark.usefixtures("narrow")
def test_an_element_that_all_columns_write_keeps_loops_apart() -> None:
    loops = Loops()
    one = element(loops.names, "b0", 0, ("i0", "0"))
    write = loops.nest(Load("y", loops.tape(1)), Store(one, "y"))
    assert loops.joined(loops.forward(), loops.backward(write)) is None


# --- programs -------------------------------------------------------------------------------------


def march(x: Any, a: Any, steps: int) -> Any:
    for _ in range(steps):
        x = x + 0.01 * (a - x * x)
    return x


def swing(x: Any, a: Any, steps: int) -> Any:
    v = np.zeros_like(x)
    for _ in range(steps):
        v = v - 0.05 * np.sin(x) * a
        x = x + 0.05 * v
    return x * v


def neighbours(x: Any, a: Any, steps: int) -> Any:
    for _ in range(steps):
        x = x + 0.01 * (a - x * x)
        x[1:] = x[1:] * np.tanh(x[:-1])
    return x


def mean_field(x: Any, a: Any, steps: int) -> Any:
    for _ in range(steps):
        x = np.tanh(x + 0.01 * (a - np.mean(x)))
    return x


def squared(y: Any, w: Any) -> Any:
    return np.sum((y - w) ** 2)


def normed(y: Any, w: Any) -> Any:
    return np.sqrt(np.sum(w * y * y))


X, A, W = np.random.default_rng(2).uniform(0.5, 1.5, (3, 203))


def gradient(march: Callable[..., Any], loss: Callable[..., Any]) -> Any:
    def run(x: Any, a: Any) -> Any:
        return loss(march(x.copy(), a, 30), W)

    return adgraph.value_and_grad(run, argnums=(0, 1))


def scratch_of(function: Any, *args: Any) -> int:
    """The bytes of the scratch of the kernels of loops."""
    calls = function.dispatch.entry(args, {}).compiled.program.calls
    return sum(t.nbytes for c in calls for t in c.node.attrs.get("scratch", ()))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("loss", [squared, normed])
@pytest.mark.parametrize("function", [march, swing, neighbours, mean_field])
def test_gradients_are_those_of_separate_loops(
    function: Any, loss: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = gradient(function, loss)
    value, slopes = joined(X, A)
    monkeypatch.setattr(handover, "LEAST", 10**12)
    expected, apart = gradient(function, loss)(X, A)
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    np.testing.assert_allclose(slopes, apart, rtol=1e-11)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("backend", ["llvm", "numba"])
def test_a_tape_is_as_large_as_a_block_of_columns(backend: Any) -> None:
    for function, tapes in ((march, 1), (swing, 3)):
        found = adgraph.trace(gradient(function, squared), backend=backend)
        found(X, A)
        assert 0 < scratch_of(found, X, A) <= tapes * 30 * 4 * 8 + 8 * 8


@pytest.mark.usefixtures("narrow")
def test_a_loss_that_needs_all_columns_keeps_the_loops_apart() -> None:
    found = gradient(march, normed)
    assert found.explain(X, A).peak_bytes > 30 * X.nbytes


def test_the_gradient_of_a_long_loop_needs_no_tape() -> None:
    x, a, w = np.random.default_rng(3).uniform(0.5, 1.5, (3, 20_000))
    found = adgraph.grad(lambda x: np.sum(w * march(x, a, 200)))
    assert found.explain(x).peak_bytes < 200 * x.nbytes / 4
    h = 1e-6 * np.sin(np.arange(x.size))
    slope = (np.sum(w * march(x + h, a, 200)) - np.sum(w * march(x - h, a, 200))) / 2
    np.testing.assert_allclose(found(x) @ h, slope, rtol=1e-6)
