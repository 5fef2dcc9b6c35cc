"""Input that a user gets wrong: the right result, or an error that names line, type and way out."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph import grad, jacobian, trace
from adgraph.errors import AdgraphError, AxisIndexError, DtypeError, ShapeError, TracingError
from adgraph.tracing.frames import tracing

close = np.testing.assert_allclose
X = np.array([1.0, 2.0, 3.0])
HERE = "test_bad_input.py"


def assert_explains(error: pytest.ExceptionInfo[BaseException], *words: str) -> None:
    text = str(error.value)
    assert f"{HERE}:" in text
    for word in words:
        assert word in text


# --- arrays NumPy has and others do not ----------------------------------------------------------


def unaligned() -> Any:
    buffer = np.zeros(25, np.uint8)
    array = buffer[1:].view(np.float64)
    array[:] = X
    assert not array.flags.aligned
    return array


def read_only() -> Any:
    array = X.copy()
    array.flags.writeable = False
    return array


UNUSUAL = {
    "strided": np.arange(12.0)[::2],
    "reversed": np.arange(12.0)[::-1],
    "transposed": np.arange(12.0).reshape(3, 4).T,
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "broadcast": np.broadcast_to(X, (4, 3)),
    "read-only": read_only(),
    "unaligned": unaligned(),
    "big-endian": X.astype(">f8"),
    "big-endian ints": np.arange(5).astype(">i4"),
    "no elements": np.zeros(0),
    "no rows": np.zeros((0, 3)),
    "no columns": np.zeros((3, 0)),
    "one element": np.ones((1, 1, 1)),
    "no axes": np.array(3.0),
    "nan and inf": np.array([np.nan, np.inf, -np.inf, -0.0]),
    "subnormal": np.array([5e-324, 1e-310]),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_array_gives_what_numpy_gives(name: str) -> None:
    x = UNUSUAL[name]
    before = x.copy()

    def f(x: Any) -> Any:
        return x * 2 + 1, np.sum(x * x, axis=-1 if x.ndim else None), np.where(x > 1, x, 0)

    with np.errstate(all="ignore"):
        expected = f(x)
    for found, wanted in zip(trace(f)(x), expected, strict=True):
        assert found.dtype == wanted.dtype
        assert found.shape == wanted.shape
        close(found, wanted, rtol=1e-14)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("name", [n for n, x in UNUSUAL.items() if x.dtype.kind == "f"])
def test_the_gradient_by_an_unusual_array_is_a_plain_one(name: str) -> None:
    x = UNUSUAL[name]
    found = grad(lambda x: np.sum(x**2))(x)
    assert found.dtype == np.float64
    assert np.shape(found) == x.shape
    close(found, 2 * x.astype(float), rtol=1e-14)


def test_a_memory_mapped_array_is_an_array(tmp_path: Any) -> None:
    X.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.float64, "r")
    close(trace(lambda x: x * 2)(mapped), 2 * X)


# --- arrays that are refused ---------------------------------------------------------------------


class Unit(np.ndarray):
    """A subclass that gives results another meaning."""


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (
            np.array([1, None], object),
            ("x is an array of dtype object and shape (2,)", "np.asarray"),
        ),
        (np.array(["a", "b"]), ("dtype <U1",)),
        (np.array(["2001-01-01"], "M8[D]"), ("dtype datetime64[D]",)),
        (np.zeros(2, [("a", "f8")]), ("dtype [('a', '<f8')]",)),
        (X.astype(np.float16), ("dtype float16", "x.astype(np.float64)")),
        (X.astype(np.longdouble), ("float128", "x.astype(np.float64)")),
        (2**70, ("dtype object and shape ()", "beyond 64 bits")),
        (X.astype(np.clongdouble), ("complex256",)),
    ],
)
def test_an_array_without_kernels_is_refused_by_name_and_dtype(
    array: Any, words: tuple[str, ...]
) -> None:
    with pytest.raises(DtypeError) as error:
        trace(lambda x: x * 2)(array)
    assert_explains(error, *words)


def test_subclasses_are_refused_even_when_a_plain_array_was_accepted() -> None:
    f = trace(lambda x: x * x)
    f(np.ones((2, 2)))
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])
    for x in (matrix, np.ma.array(np.ones((2, 2)), mask=np.eye(2)), np.ones((2, 2)).view(Unit)):
        with pytest.raises(TracingError) as error:
            f(x)
        assert_explains(error, f"x is a {type(x).__name__}, a subclass", "np.asarray(x)")
        with pytest.raises(TracingError, match="a subclass of"):
            trace(lambda y, x=x: y * x)(np.ones((2, 2)))


def test_a_ragged_list_is_refused_where_it_becomes_an_array() -> None:
    ragged = [[1.0, 2.0], [3.0]]
    assert trace(lambda x: x[0][1] * x[1][0])(ragged) == 6.0  # as a pytree it is fine
    with pytest.raises(AdgraphError) as error:
        trace(lambda x: np.array(x) * 2)(ragged)
    assert_explains(error)


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        (lambda x: x + np.ones(4), ShapeError, ("add", "(3,) and (4,)", "x[:, None]")),
        (lambda x: x @ np.ones((4, 2)), ShapeError, ("matmul", "(4, 2)")),
        (lambda x: np.concatenate([x, x[None]]), ShapeError, ()),
        (lambda x: np.reshape(x, (2, 2)), ShapeError, ("(2, 2)",)),
        (lambda x: x[3], AxisIndexError, ("index 3", "extent 3")),
        (lambda x: x[0, 0], AxisIndexError, ()),
        (lambda x: x[1.0], AxisIndexError, ("1.0",)),
        (lambda x: np.sum(x, axis=1), AxisIndexError, ()),
        (lambda x: x & 1, TypeError, ("bitwise_and",)),
        (lambda x: x.astype(np.float16), DtypeError, ("float16",)),
        (lambda x: x.astype(str), DtypeError, ("<U",)),
        (lambda x: np.array([x[0], None]), DtypeError, ("object",)),
        (lambda x: np.packbits(x), DtypeError, ("np.packbits", "f64[3]")),
        (lambda x: x.tolist(), TracingError, ("ndarray.tolist has no", "list(x)")),
        (lambda x: x.nonsense, AttributeError, ("'nonsense'",)),
    ],
)
def test_an_operation_that_cannot_be_names_line_and_types(
    function: Callable[..., Any], kind: type[Exception], words: tuple[str, ...]
) -> None:
    with pytest.raises(kind) as error:
        trace(function)(X)
    assert_explains(error, *words)


# --- Python asks for a number --------------------------------------------------------------------


def branch(x: Any) -> Any:
    if x > 0:
        return x
    return -x


def repeat(x: Any) -> Any:
    while x > 0:
        x = x - 1
    return x


def asserted(x: Any) -> Any:
    assert np.sum(x) > 0
    return x


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (branch, ("truth value of a traced array bool[3]", "if x > 0", "np.where")),
        (repeat, ("truth value", "while x > 0", "np.where")),
        (asserted, ("truth value", "assert np.sum(x) > 0")),
        (lambda x: x if x else -x, ("truth value of a traced array f64[3]",)),
        (lambda x: x[0] > 0 and x, ("f64[3] in one branch", "a Python bool in the other")),
        (lambda x: not x, ("truth value of a traced array f64[3]",)),
        (lambda x: x[0] in [1.0], ("truth value",)),
        (lambda x: 2.0 in x, ("truth value",)),
        (lambda x: sorted(x), ("truth value",)),
        (lambda x: [0] * int(x[0]), ("needs an integer now", "static_argnames")),
        (lambda x: [2 * i for i in range(int(x[0]))], ("a range whose length is not known",)),
        (lambda x: np.zeros(int(x[0])), ()),
        (lambda x: "abc"[int(x[0])], ("needs an integer now",)),
        (lambda x: float(x), ("float() takes one number", "f64[3]")),
        (lambda x: {x[0]: 1}, ("key of a dict", "f64[]")),
        (lambda x: len({x[0], x[1]}), ("key of a dict or in a set",)),
        (lambda x: np.frompyfunc(lambda y: y + 1, 1, 1)(x), ("np.frompyfunc", "np.vectorize")),
        (lambda x: x[x > 1], ("x[mask] of f64[3] (mask bool[3]", "np.where")),
        (lambda x: (y for y in x), ("returned a generator",)),
        (lambda x: "text", ("returned a str",)),
        (lambda x: {"a": object()}, ("returned a object",)),
    ],
)
def test_a_number_that_is_not_there_yet_is_refused_with_the_line_and_a_way_out(
    function: Callable[..., Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(AdgraphError) as error:
        trace(function)(X)
    assert_explains(error, *words)
    assert not tracing()


def test_what_looks_like_a_number_works_where_the_source_can_be_read() -> None:
    def f(x: Any) -> Any:
        y = math.sin(x[0]) + float(x[1]) + math.sqrt(x[2])
        z = np.asarray(x) + np.array([x[0], 2.0, x[1]])
        return y * sum(v * v for v in x), z, max(x[0], x[1]), f"{1.0:.1f}" == "1.0", len(x)

    found, expected = trace(f)(X), f(X)
    for a, b in zip(found, expected, strict=True):
        assert type(a) is type(b) or (isinstance(a, np.floating) and isinstance(b, float))
        close(a, b, rtol=1e-15)


def test_isinstance_sees_arrays_and_numbers_as_without_a_trace() -> None:
    def f(x: Any, k: Any, n: Any) -> Any:
        assert isinstance(x, np.ndarray)
        assert not isinstance(x, (list, float))
        assert isinstance(x[0], np.floating)
        assert isinstance(k, float)
        assert isinstance(n, int)
        assert np.isscalar(k)
        assert not np.isscalar(x)
        return x * k * n

    close(trace(f)(X, 2.0, 3), 6 * X)


def test_printing_a_tracer_shows_its_type(capsys: pytest.CaptureFixture[str]) -> None:
    def f(x: Any) -> Any:
        print(x, f"{x[0]:.3f}")  # noqa: T201
        return x

    trace(f)(X)
    assert capsys.readouterr().out == "Tracer(f64[3]) Tracer(f64[])\n"


# --- values that leave the trace -----------------------------------------------------------------

kept: list[Any] = []
plain = np.zeros(3)


@pytest.mark.parametrize(
    "use",
    [
        lambda t: t + 1,
        lambda t: np.sin(t),
        lambda t: t[0],
        lambda t: bool(t),
        lambda t: float(t[0]),
        lambda t: np.asarray(t),
        lambda t: trace(lambda x: x + t)(X),
        lambda t: trace(np.sin)(t),
    ],
)
def test_a_value_kept_after_its_trace_says_that_the_trace_is_over(use: Callable[..., Any]) -> None:
    kept.clear()

    @trace
    def f(x: Any) -> Any:
        kept.append(x * 2)
        return x

    f(X)
    assert "f64[3]" in repr(kept[0])
    with pytest.raises(TracingError, match=r"trace had ended|of another trace") as error:
        use(kept[0])
    assert_explains(error)


def test_storing_into_a_plain_array_is_refused() -> None:
    @trace
    def f(x: Any) -> Any:
        plain[0] = x[0]
        return x

    with pytest.raises(TracingError) as error:
        f(X)
    assert_explains(error, "stored into a plain NumPy array of shape (3,)", "np.zeros")
    assert not plain.any()


# --- state ---------------------------------------------------------------------------------------


def test_an_exception_of_the_user_passes_and_leaves_no_state_behind() -> None:
    fail = True

    @trace
    def f(x: Any) -> Any:
        if fail:
            raise LookupError("mine")
        return x * 2

    for _ in range(2):
        with pytest.raises(LookupError, match="mine"):
            f(X)
        with pytest.raises(LookupError, match="mine"):
            jacobian(f)(X)
    assert not tracing()
    fail = False
    close(f(X), 2 * X)
    close(f.jacobian(X), 2 * np.eye(3))


def test_a_function_that_changes_a_list_does_so_once_per_trace() -> None:
    calls: list[int] = []

    @trace
    def f(x: Any) -> Any:
        calls.append(1)
        return x * len(calls)

    close(f(X), X)
    close(f(X), X)
    assert len(calls) == 1


def test_a_traced_function_may_call_itself_and_others() -> None:
    @trace
    def power(x: Any, n: Any = 3, *, flag: bool = True) -> Any:
        return x if n == 1 else x * power(x, n - 1)

    close(trace(lambda x: power(x) + power(x))(X), 2 * X**3)

    @trace(static_argnames="n")
    def tower(x: Any, n: int) -> Any:
        return x if n == 0 else np.sin(tower(x, n - 1))

    close(tower(X, 3), np.sin(np.sin(np.sin(X))), rtol=1e-14)


def test_a_call_from_inside_another_trace_compiles_nothing() -> None:
    inner = trace(lambda x: x + 1)
    outer = trace(lambda x: inner(x) * 2)
    close(outer(X), 2 * (X + 1))
    assert not inner.dispatch.entries


def test_the_same_array_may_be_given_twice() -> None:
    f = trace(lambda x, y: x * y)
    close(f(X, X), X**2)
    close(grad(lambda x, y: np.sum(x * y**2), (0, 1))(X, X), (X**2, 2 * X**2))


def test_two_threads_may_make_the_first_call_at_once() -> None:
    traces: list[int] = []

    @trace
    def f(x: Any, k: Any) -> Any:
        traces.append(1)
        return np.sum(np.tanh(x * k + 0.123) ** 2, axis=0), np.exp(-x) @ x

    inputs = [np.linspace(0, i + 1, 300) for i in range(8)]
    results: dict[int, Any] = {}
    barrier = threading.Barrier(len(inputs))

    def work(i: int) -> None:
        barrier.wait()
        for _ in range(50):
            results[i] = f(inputs[i], float(i))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(traces) == 1
    for i, x in enumerate(inputs):
        close(results[i][0], np.sum(np.tanh(x * i + 0.123) ** 2), rtol=1e-13)
        close(results[i][1], np.exp(-x) @ x, rtol=1e-13)


def test_tracing_in_one_thread_does_not_disturb_another() -> None:
    inside = threading.Event()
    done = threading.Event()

    @trace
    def slow(x: Any) -> Any:
        y = x + 1
        inside.set()
        assert done.wait(60)
        return y * 2

    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(slow(X)))
    thread.start()
    assert inside.wait(60)
    assert not tracing()
    close(trace(lambda x: x * 3)(X), 3 * X)
    done.set()
    thread.join()
    close(result[0], 2 * (X + 1))


def test_errors_form_one_tree() -> None:
    for kind in (TracingError, ShapeError, DtypeError, AxisIndexError):
        assert issubclass(kind, adgraph.errors.AdgraphError)


@pytest.mark.parametrize("n", [5.7, np.float64(3.0), np.array([2])])
def test_bounds_of_a_range_are_integers(n: Any) -> None:
    def power(x: Any, n: Any) -> Any:
        for _ in range(n):
            x = x * 1.1
        return x

    with pytest.raises(DtypeError) as caught:
        trace(power)(1.0, n)
    assert_explains(caught, "range()", "integers", "range(int(n))")


@pytest.mark.parametrize("n", [2**70, -(2**63) - 1])
def test_python_ints_beyond_64_bits_are_refused_by_name(n: int) -> None:
    f = trace(lambda a, b: a - b)
    for _ in range(3):
        with pytest.raises(DtypeError, match=r"^a is an (?s:.*)64 bits"):
            f(n, 1)
        assert f(2, 1) == 1
