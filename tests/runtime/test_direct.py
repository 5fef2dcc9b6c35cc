"""Direct calls: what they return, what they refuse, and that they leave nothing behind."""

from __future__ import annotations

import copy
import enum
import gc
import pickle
import sys
import threading
import tracemalloc
import weakref
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph import Function, trace
from adgraph.runtime.calls import OTHERWISE
from adgraph.runtime.direct import is_long
from adgraph.tracing.tree import flatten

Pair = namedtuple("Pair", "first second")


@dataclass
class Params:
    w: Any
    b: Any


@dataclass(frozen=True)
class Settings:
    power: int
    label: str = "a"


class Mode(enum.Enum):
    DOUBLE = 2
    TRIPLE = 3


X = np.array([0.5, -1.25, 2.0, 3.5])
M = np.arange(12.0).reshape(3, 4) / 7
F32 = X.astype(np.float32)
INTS = np.array([3, 1, 4, 1])


def direct_of(f: Function, *args: Any, **kwargs: Any) -> Any:
    return f.dispatch.entry(args, kwargs).direct


def in_python(f: Function, *args: Any, **kwargs: Any) -> Any:
    """Call the program by the way that direct calls leave to Python."""
    leaves, _ = flatten(f.dispatch.mark_static(args, kwargs))
    return f.dispatch.entry(args, kwargs).run(leaves)


def assert_same(found: Any, expected: Any) -> None:
    """Same structure, same Python types, same bits."""
    leaves, structure = flatten(found)
    wanted, expected_structure = flatten(expected)
    assert structure == expected_structure
    for a, b in zip(leaves, wanted, strict=True):
        assert type(a) is type(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_array_equal(a, b)


@contextmanager
def only_directly(f: Function) -> Iterator[None]:
    """Fail if a call of a function takes another way than a direct one, which programs now have."""
    dispatch = f.dispatch
    for entry in dispatch.entries:
        if entry.direct is not None:
            dispatch._prefer(entry.direct)
    f.dispatch = OnlyDirect(dispatch.direct)  # type: ignore[assignment]
    try:
        yield
    finally:
        f.dispatch = dispatch


class OnlyDirect:
    def __init__(self, direct: Any) -> None:
        self.direct = direct

    def __call__(self, args: Any, kwargs: Any) -> Any:
        raise AssertionError("no direct call took the arguments")


CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "array to number": (lambda x: np.sum(x * x), (X,), {}),
    "array to array": (lambda x: x * 2, (X,), {}),
    "number and array": (lambda x: (np.sum(x), x + 1), (X,), {}),
    "five arrays": (lambda *a: (sum(map(np.sum, a)), a[0] * a[4]), (X, X, X, X, X + 1), {}),
    "twenty arrays": (lambda *a: sum(a), (X,) * 20, {}),
    "float": (lambda x: 1 + x * (2 + x * 3), (1.5,), {}),
    "int": (lambda n: (n * 2, n / 2, n > 3), (-7,), {}),
    "minus one": (lambda n: n - 1, (-1,), {}),
    "NumPy numbers": (
        lambda a, b, c, d: (a * 2, b * 2, c * 2, d | True),
        (np.float64(1.5), np.float32(2.5), np.int16(3), np.bool(False)),
        {},
    ),
    "other dtypes": (lambda a, b, c: (a * 2, b * 2, ~c), (F32, INTS, X > 0), {}),
    "small ints": (lambda a: (a + a, np.sum(a)), (INTS.astype(np.uint8),), {}),
    "array without axes": (lambda x: x * 2, (np.array(3.0),), {}),
    "no elements": (lambda x: (np.sum(x), x * 2), (np.zeros((0, 3)),), {}),
    "several axes": (lambda x: (x[..., 0], np.sum(x, 1)), (np.ones((2, 3, 1, 4)),), {}),
    "no arguments": (lambda: np.arange(3.0), (), {}),
    "nothing": (lambda x: None, (X,), {}),
    "constants": (lambda x: (1, 2.5, True, np.float32(3), np.arange(3), x), (X,), {}),
    "list": (lambda x: [x * 2, np.sum(x)], (X,), {}),
    "tree of results": (lambda x: {"a": (x, [None, x]), 3: (), "b": [x[0]]}, (X,), {}),
    "dict": (lambda p: {"w": p["w"] * p["b"]}, ({"w": X, "b": 2.0},), {}),
    "namedtuple": (lambda p: Pair(p.second * 2, p.first), (Pair(X, 1.5),), {}),
    "dataclass": (lambda p: Params(p.w @ p.b, p.b), (Params(X, X[::-1].copy()),), {}),
    "nested": (lambda t: t[0] * t[1][0]["k"], ((X, [{"k": 2.0}, None]),), {}),
    "by name": (lambda x, y: x * y, (X,), {"y": 2.0}),
    "all by name": (lambda x, y: x - y, (), {"y": X, "x": 3.0}),
    "tree by name": (lambda x, p: x * p["a"], (X,), {"p": {"a": 2.0, "b": X}}),
    "string": (lambda x, s: x * 2 if s == "two" else x, (X, "two"), {}),
    "bool by name": (lambda x, flag: x * 2 if flag else x, (X,), {"flag": True}),
    "type and function": (lambda x, t, f: f(x.astype(t)), (X, np.float32, np.sin), {}),
    "enum": (lambda x, m: x * m.value, (X, Mode.TRIPLE), {}),
    "slices": (lambda x: x * 2, (np.arange(8.0)[::2],), {}),
    "transpose": (lambda x: (x @ x.T, x[0]), (M.T,), {}),
    "Fortran order": (lambda x: np.sum(x, 0), (np.asfortranarray(M),), {}),
    "broadcast": (lambda x: x + 1, (np.broadcast_to(X, (3, 4)),), {}),
    "read-only": (lambda x: x + 1, (np.broadcast_to(X, (4,)),), {}),
    "reversed": (lambda x, y: x - y, (X[::-1], np.arange(8.0)[6::-2]), {}),
    "unpickled": (lambda x: x * 2, (pickle.loads(pickle.dumps(X)),), {}),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_direct_call_returns_what_the_call_in_python_returns(name: str) -> None:
    function, args, kwargs = CALLS[name]
    f = trace(function)
    expected = in_python(f, *args, **kwargs)
    found = direct_of(f, *args, **kwargs)(args, kwargs)
    assert found is not OTHERWISE
    assert_same(found, expected)
    f(*args, **kwargs)
    with only_directly(f):
        for _ in range(3):
            assert_same(f(*args, **kwargs), expected)


def misaligned(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    copied: np.ndarray[Any, Any] = view
    return copied


@pytest.mark.parametrize("name", CALLS)
def test_where_the_platform_has_no_direct_calls_results_are_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    function, args, kwargs = CALLS[name]
    expected = trace(function)(*args, **kwargs)
    monkeypatch.setattr("adgraph.runtime.calls.native_interface", lambda: None)
    f = trace(function)
    for _ in range(2):
        assert_same(f(*args, **kwargs), expected)
    assert not f.dispatch.direct


def test_a_misaligned_array_is_copied() -> None:
    f = trace(lambda x: x * 2)
    f(X)
    with only_directly(f):
        np.testing.assert_array_equal(f(misaligned(X)), X * 2)


class Tagged(np.ndarray[Any, Any]):
    pass


# Arguments for a function of one array of four doubles which has been called with `X`.
OTHERS: dict[str, Any] = {
    "another length": np.ones(5),
    "another number of axes": np.ones((4, 1)),
    "fewer axes": np.array(2.0),
    "float32": F32,
    "int64": INTS,
    "byte-swapped": X.astype(X.dtype.newbyteorder()),
    "float": 2.0,
    "int": 2,
    "NumPy number": np.float64(2.0),
    "int beyond 32 bits": 2**40,
}


@pytest.mark.parametrize("name", OTHERS)
def test_arguments_of_another_signature_are_left_to_their_own_program(name: str) -> None:
    f = trace(lambda x: x * 3)
    f(X)
    call = direct_of(f, X)
    assert call((OTHERS[name],), {}) is OTHERWISE
    assert_same(f(OTHERS[name]), OTHERS[name] * 3)
    assert_same(f(X), X * 3)


def test_numbers_of_another_python_type_are_left_to_their_own_program() -> None:
    f = trace(lambda x: x * 3)
    given = [2.0, 2, np.float64(2), np.float32(2), np.int64(2), np.array(2.0)]
    for x in given * 2:
        assert_same(f(x), x * 3 if not isinstance(x, np.ndarray) else np.float64(6))
    assert len(f.dispatch.entries) == len(given)


def test_an_int_beyond_64_bits_is_refused_after_others_ran() -> None:
    f = trace(lambda n: n + 1)
    assert f(-1) == 0
    with pytest.raises(Exception, match=r"64|large|big|Python int"):
        f(2**70)
    assert f(2**62) == 2**62 + 1


def test_subclasses_are_refused_as_before() -> None:
    f = trace(lambda x: x * 2)
    f(X)
    with pytest.raises(adgraph.errors.TracingError, match="Tagged"):
        f(X.view(Tagged))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), ((X, X), {}), ((X,), {"z": X}), ((), {"x": X}), (([X],), {}), ((None,), {})],
)
def test_another_number_or_structure_of_arguments_is_not_taken(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    f = trace(lambda x: x * 2)
    f(X)
    assert direct_of(f, X)(args, kwargs) is OTHERWISE
    assert direct_of(f, X)((X,), {}) is not OTHERWISE


TREES: list[tuple[Any, Any]] = [
    ({"a": X, "b": 1.0}, {"b": 1.0, "a": X}),
    ({"a": X, "b": 1.0}, {"a": X}),
    ({"a": X, "b": 1.0}, {"a": X, "c": 1.0}),
    ((X, 1.0), [X, 1.0]),
    ((X, 1.0), (X, 1.0, 2.0)),
    (Pair(X, 1.0), (X, 1.0)),
    ([X, None], [X, 1.0]),
    ((X, (1.0,)), (X, 1.0)),
    ((X, 1.0), (X, (1.0,))),
]


@pytest.mark.parametrize(("first", "other"), TREES)
def test_a_tree_of_another_structure_is_not_taken(first: Any, other: Any) -> None:
    f = trace(lambda t: [x * 2 for x in flatten(t)[0]])
    f(first)
    assert direct_of(f, first)((other,), {}) is OTHERWISE
    assert_same(f(other), [x * 2 for x in flatten(other)[0]])


def test_arguments_by_name_come_in_any_order() -> None:
    f = trace(lambda x, y: x - y)
    f(x=X, y=1.0)
    with only_directly(f):
        np.testing.assert_array_equal(f(y=2.0, x=X), X - 2)


def test_static_arguments_choose_the_program() -> None:
    @trace(static_argnames=("n", "s"))
    def f(x: Any, n: Any, s: Any = Settings(1)) -> Any:
        return x * n + s.power if s.label == "a" else x

    for n in (2, 3.0, 2.0, (np.int64(2)), 0.0, -0.0, 2):
        assert_same(f(X, n), X * n + 1)
        assert_same(f(X, n=n, s=Settings(5)), X * n + 5)
        assert_same(f(X, n=n, s=Settings(5, "b")), X)
    f(X, n=2, s=Settings(7))
    with only_directly(f):
        assert_same(f(X, n=2, s=Settings(7)), X * 2 + 7)
    tuples = trace(lambda x, shape: np.reshape(x, shape), static_argnums=1)
    for shape in ((2, 2), (4, 1), (2, 2)):
        assert tuples(X, shape).shape == shape
    with only_directly(tuples):
        assert tuples(X, (2, 2)).shape == (2, 2)


def test_equal_static_arguments_of_other_types_are_other_programs() -> None:
    f = trace(lambda x, n: x * (2 if n is True else 3), static_argnums=1)
    assert_same((f(X, True), f(X, 1), f(X, True), f(X, 1)), (X * 2, X * 3, X * 2, X * 3))


class Counter:
    def __init__(self, n: int) -> None:
        self.n = n

    def __hash__(self) -> int:
        return hash(self.n)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counter) and other.n == self.n


def test_a_static_argument_that_changed_is_another_program() -> None:
    f = trace(lambda x, c: x * c.n, static_argnums=1)
    counter = Counter(2)
    assert_same(f(X, counter), X * 2)
    counter.n = 3
    assert_same(f(X, counter), X * 3)
    assert_same(f(X, Counter(2)), X * 2)


class Spring:
    def __init__(self, stiffness: float) -> None:
        self.stiffness = stiffness

    @trace
    def energy(self, x: Any, scale: Any = 1.0) -> Any:
        return 0.5 * self.stiffness * np.sum(x * x) * scale


def test_methods_of_instances_are_programs_of_their_own() -> None:
    soft, stiff = Spring(1.0), Spring(10.0)
    for _ in range(3):
        assert soft.energy(X, scale=2.0) * 10 == pytest.approx(stiff.energy(X, scale=2.0))
        np.testing.assert_allclose(stiff.energy.grad(X), 10 * X)
    with only_directly(Spring.energy):
        assert soft.energy(X, scale=2.0) == pytest.approx(np.sum(X * X))


def test_a_call_in_another_trace_becomes_part_of_it() -> None:
    inner = trace(lambda x: np.sum(x * x))
    inner(X)
    outer = trace(lambda x: inner(x) + inner(X))
    assert outer(X) == pytest.approx(2 * inner(X))
    nodes = [n.op.name for n in outer.graph(X).nodes]
    assert any("sum" in name for name in nodes)
    np.testing.assert_allclose(outer.grad(X), 2 * X)


def test_more_signatures_than_are_tried_directly_still_run() -> None:
    f = trace(lambda x: np.sum(x))
    for _ in range(3):
        for n in range(1, 13):
            assert f(np.ones(n)) == n
    assert len(f.dispatch.entries) == 12
    assert len(f.dispatch.direct) <= 8


# --- what the caller sees of memory --------------------------------------------------------------


def test_results_are_arrays_of_their_own() -> None:
    f = trace(lambda x: (x, x * 2, x))
    first, second = f(X), f(X)
    for a in (*first, *second):
        assert a.flags.owndata
        assert a.flags.c_contiguous
        assert a.flags.writeable
    first[0][:] = 7
    np.testing.assert_array_equal(second[0], X)
    np.testing.assert_array_equal(first[2], X)


def test_written_arguments_are_written_in_every_call() -> None:
    @trace
    def f(x: Any) -> Any:
        x[0] = 5.0
        return np.sum(x)

    for _ in range(3):
        x = X.copy()
        assert f(x) == pytest.approx(5 + np.sum(X[1:]))
        assert x[0] == 5.0
    with pytest.raises(adgraph.errors.TracingError, match="read-only"):
        f(np.broadcast_to(X, (4,)))


def test_memory_order_is_still_refused_where_it_matters() -> None:
    @trace
    def f(x: Any) -> Any:
        y = x * 1.0
        x.reshape(-1)[0] = 3.0
        return y + x

    for _ in range(2):
        f(M.copy())
        with pytest.raises(adgraph.errors.TracingError, match="C order"):
            f(np.asfortranarray(M))


REFERENCES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "taken": (lambda x, y: (np.sum(x), x * y, 1.5), (X.copy(), 2.5), {}),
    "copied": (lambda x, y: (x * 2, y), (M.copy().T, X.copy()), {}),
    "tree": (lambda p, x: {"a": p["w"] * x}, ({"w": X.copy()},), {"x": X.copy()}),
    "single": (lambda x: x * 2, (X.copy(),), {}),
}


@pytest.mark.parametrize("name", REFERENCES)
def test_calls_hold_no_references(name: str) -> None:
    function, args, kwargs = REFERENCES[name]
    f = trace(function)
    f(*args, **kwargs)
    refused = (np.ones(3), *args[1:])  # by the shape of the first
    watched = [
        *flatten((args, kwargs))[0],
        OTHERWISE,
        np.dtype(float),
        np.ndarray,
        float,
        refused[0],
    ]
    call = direct_of(f, *args, **kwargs)

    def hammer(count: int) -> None:
        for _ in range(count):
            assert f(*args, **kwargs) is not None
            assert call(refused, kwargs) is OTHERWISE

    hammer(10)
    before = [sys.getrefcount(x) for x in watched]
    hammer(2000)
    assert [sys.getrefcount(x) for x in watched] == before
    results = flatten(f(*args, **kwargs))[0]
    arrays = [weakref.ref(x) for x in results if isinstance(x, np.ndarray)]
    del results
    assert all(array() is None for array in arrays)


def test_many_calls_leave_no_memory_behind() -> None:
    f = trace(lambda p, n: {"a": p["w"] * n, "s": np.sum(p["w"])})
    given = {"w": M.copy().T}
    f(given, 2.0)

    def hammer(count: int) -> None:
        for _ in range(count):
            f(given, 2.0)

    tracemalloc.start()
    try:
        hammer(100)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        hammer(100_000)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 10_000


def test_a_dropped_function_frees_its_arena() -> None:
    tracemalloc.start()
    try:
        f = trace(lambda x: np.sum(np.sort(x * 2)))
        f(np.ones(1_000_000))
        f = None
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 4_000_000


# --- failures ------------------------------------------------------------------------------------


def test_a_failing_kernel_names_the_line_and_leaves_nothing_set() -> None:
    def solve(a: Any, b: Any) -> Any:
        return np.linalg.solve(a, b)  # the line

    f = trace(solve)
    b = np.ones(3)
    line = solve.__code__.co_firstlineno + 1
    for _ in range(2):
        f(2 * np.eye(3), b)
    for _ in range(3):
        np.testing.assert_allclose(f(2 * np.eye(3), b), b / 2)
        references = sys.getrefcount(b)
        with pytest.raises(np.linalg.LinAlgError, match=rf"singular[\s\S]*test_direct.py.*{line}"):
            f(np.zeros((3, 3)), b)
        assert sys.getrefcount(b) == references
        assert sys.exc_info() == (None, None, None)
    with only_directly(f):
        np.testing.assert_allclose(f(2 * np.eye(3), b), b / 2)


def test_a_tape_that_is_too_short_grows_once() -> None:
    @trace
    def f(x: Any, top: Any) -> Any:
        while x < top:
            x = x * 1.01
        return x

    gradient = f.grad
    gradient(1.0, 1.05)
    long = gradient(1.0, 1e9)
    assert long == pytest.approx(1.01 ** np.ceil(np.log(1e9) / np.log(1.01)))
    with only_directly(gradient):
        assert gradient(1.0, 1e9) == long
        assert gradient(1.0, 1.05) == pytest.approx(1.01**5)


def test_no_memory_for_a_result_is_an_error_once() -> None:
    f = trace(lambda x: np.zeros(2**44) + x)
    for _ in range(2):
        with pytest.raises(MemoryError):
            f(1.0)


# --- threads, re-entry, copies -------------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 200_000])
def test_threads_may_run_one_function_with_their_own_data(size: int) -> None:
    f = trace(lambda x, k: (np.sum(np.sin(x) * k), x * k))
    f(np.ones(size), 1.0)
    start = threading.Barrier(6)

    def work(number: int) -> None:
        x = np.full(size, 0.1 * number)
        expected = in_python(f, x, float(number))
        start.wait()
        for _ in range(2000 if size < 100 else 30):
            assert_same(f(x, float(number)), expected)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))


def test_long_programs_let_other_threads_run() -> None:
    short = trace(lambda x: np.sum(x))
    short(X)
    long = trace(lambda x: np.sum(np.sin(x)))
    assert not is_long(short.kernels(X))
    assert is_long(long.kernels(np.ones(1_000_000)))

    @trace
    def newton(x: Any) -> Any:
        while x * x > 2.0:
            x = 0.5 * (x + 2.0 / x)
        return x

    assert is_long(newton.kernels(3.0))


def test_a_call_within_a_call_takes_another_way() -> None:
    f = trace(lambda x: tuple(x * i for i in range(5)))
    expected = f(X)
    seen: list[Any] = []

    def during(phase: str, info: dict[str, int]) -> None:
        if len(seen) < 100:
            seen.append(f(X + 1))

    thresholds = gc.get_threshold()
    gc.callbacks.append(during)
    gc.set_threshold(1)
    try:
        for _ in range(200):
            assert_same(f(X), expected)
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(during)
    assert seen
    for result in seen:
        np.testing.assert_array_equal(result[4], (X + 1) * 4)


@trace
def module_level(x: Any) -> Any:
    return np.sum(x * x)


def test_functions_that_have_been_called_are_pickled_and_copied() -> None:
    expected = module_level(X)
    for other in (
        pickle.loads(pickle.dumps(module_level)),
        copy.copy(module_level),
        copy.deepcopy(module_level),
    ):
        assert_same(other(X), expected)


def test_signatures_and_functions_are_collected() -> None:
    class Big:
        pass

    def maker() -> tuple[Any, Any]:
        big = Big()
        f = trace(lambda x, b: x * 2)
        f(X, big)
        return sys.getrefcount(big), f

    _, f = maker()
    gc.collect()
    assert any(type(o) is Big for o in gc.get_objects())
    del f
    gc.collect()
    assert not any(type(o) is Big for o in gc.get_objects())
