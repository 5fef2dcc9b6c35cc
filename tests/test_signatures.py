"""What a traced function accepts and returns: pytrees, static arguments, signatures, promotion."""

from __future__ import annotations

import copy
import functools
import math
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph import trace
from adgraph.errors import TracingError

Pair = namedtuple("Pair", "first second")


@dataclass(frozen=True)
class Params:
    w: Any
    b: Any


X = np.array([0.5, -1.25, 2.0, 3.5])
F32 = X.astype(np.float32)
INTS = np.array([3, 1, 4, 1])
FLAGS = np.array([True, False, True, True])


def entries(f: adgraph.Function) -> int:
    return len(f.dispatch.entries)


def assert_identical(found: Any, expected: Any) -> None:
    """Same types all the way down, same dtypes and shapes, same values to rounding."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            assert_identical(found[key], expected[key])
    elif isinstance(expected, (tuple, list)):
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            assert_identical(a, b)
    elif isinstance(expected, Params):
        assert_identical((found.w, found.b), (expected.w, expected.b))
    elif expected is not None:
        assert np.asarray(found).dtype == np.asarray(expected).dtype
        assert np.shape(found) == np.shape(expected)
        eps = 0.0
        if np.asarray(expected).dtype.kind == "f":
            eps = 8 * np.finfo(np.asarray(expected).dtype).eps
        np.testing.assert_allclose(found, expected, rtol=eps, atol=0)


PROMOTION: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (lambda a: a + 1, (3,)),
    (lambda a: a + 1, (3.0,)),
    (lambda a: a / 2, (3,)),
    (lambda a: a // 2, (7,)),
    (lambda a: a % 2, (7,)),
    (lambda a: a**2, (3,)),
    (lambda a: a**-2.0, (3,)),
    (lambda a: -a, (3,)),
    (lambda a: abs(a), (-3,)),
    (lambda a: a > 2, (3.0,)),
    (lambda a: a == 3, (3,)),
    (lambda a: round(a), (3.7,)),
    (lambda a: int(a), (3.7,)),
    (lambda a: float(a), (3,)),
    (lambda a: np.sin(a), (3.0,)),
    (lambda a: np.sin(a), (3,)),
    (lambda a: a * 2, (np.float64(3),)),
    (lambda a: a * 2.5, (np.float32(3),)),
    (lambda a: a * 2, (np.int16(3),)),
    (lambda a, b: a * b, (F32, 2.0)),
    (lambda a, b: a * b, (F32, 2)),
    (lambda a, b: a * b, (F32, np.float64(2.0))),
    (lambda a, b: a * b, (F32, np.int64(2))),
    (lambda a, b: a * b, (F32, INTS)),
    (lambda a, b: a * b, (F32, FLAGS)),
    (lambda a, b: a * b, (INTS, 2.0)),
    (lambda a, b: a / b, (INTS, INTS)),
    (lambda a: a + 1, (FLAGS,)),
    (lambda a: a + True, (FLAGS,)),
    (lambda a, b: a & ~b, (FLAGS, FLAGS[::-1])),
    (lambda a: a + 1, (INTS.astype(np.int8),)),
    (lambda a: a - 2, (INTS.astype(np.uint8),)),
    (lambda a: a / 3, (INTS.astype(np.int16),)),
    (lambda a: a << 2, (INTS.astype(np.uint32),)),
    (lambda a: np.sqrt(a), (INTS.astype(np.int16),)),
    (lambda a: np.sum(a), (INTS.astype(np.int32),)),
    (lambda a: np.sum(a), (FLAGS,)),
    (lambda a: np.mean(a), (INTS,)),
    (lambda a: np.mean(a), (F32,)),
    (lambda a: np.var(a), (F32,)),
    (lambda a: np.where(a > 2, a, 0), (F32,)),
    (lambda a: np.where(a > 2, 1.0, 0), (F32,)),
    (lambda a: np.clip(a, 0.5, 3), (F32,)),
    (lambda a: np.maximum(a, 0), (F32,)),
    (lambda a: a[0], (X,)),
    (lambda a: a[0] * 2.0, (F32,)),
    (lambda a: a * 2, (np.array(3.0),)),
    (lambda a: (a.astype(np.float32) * np.pi, a * np.float32(2)), (X,)),
    (lambda a: np.argmax(a), (X,)),
    (lambda a: np.any(a > 1), (X,)),
    (lambda a: np.zeros(3) + a[0], (F32,)),
    (lambda a: np.zeros_like(a) + a, (F32,)),
    (lambda a: np.full(3, a), (2,)),
    (lambda a: max(a[0], a[1]), (X,)),
    (lambda a: sum(a), (F32,)),
]


@pytest.mark.parametrize(("function", "args"), PROMOTION)
def test_dtype_and_python_type_of_a_result_are_those_of_numpy(
    function: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    assert_identical(trace(function)(*args), function(*args))


def test_float16_results_are_refused_because_there_are_no_kernels() -> None:
    with pytest.raises(adgraph.errors.DtypeError, match=r"float16[\s\S]*astype"):
        trace(lambda a: np.sin(a))(INTS.astype(np.int8))


TREES: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    (lambda t: t["w"] * t["b"], ({"w": X, "b": 2.0},)),
    (lambda t: {"y": (t[0] + t[1][0], [t[1][1]])}, ((X, [X, 3.0]),)),
    (lambda t: Pair(t.second * 2, t.first), (Pair(X, 1.5),)),
    (lambda t: Params(t.w @ t.b, t.b), (Params(X, X[::-1]),)),
    (lambda t: [None, t, (), {}], (X,)),
    (lambda t: (t[0], t[1]), ((X, None),)),
    (lambda *args: sum(args), (1.0, 2.0, 3.0)),
    (lambda t: (1, 2.5, True, np.float32(3), np.arange(3), t), (X,)),
    (lambda t: t, ([[1.0, 2.0], [3.0, 4.0]],)),
    (lambda t: np.array(t) * 2, ([[1.0, 2.0], [3.0, 4.0]],)),
    (lambda t: {k: v**2 for k, v in t.items()}, ({"a": X, 3: F32},)),
    (lambda t: None, (X,)),
    (lambda: np.arange(3.0), ()),
]


@pytest.mark.parametrize(("function", "args"), TREES)
def test_pytrees_come_back_as_the_python_function_returns_them(
    function: Callable[..., Any], args: tuple[Any, ...]
) -> None:
    assert_identical(trace(function)(*copy.deepcopy(args)), function(*args))


def test_arguments_are_bound_as_python_binds_them() -> None:
    def plain(a: Any, b: Any = 2.0, *rest: Any, c: Any = 3.0, **more: Any) -> Any:
        return a + 10 * b + 100 * sum(rest) + 1000 * c + 10000 * sum(more.values())

    f = trace(plain)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((1.0,), {}),
        ((1.0, 5.0), {}),
        ((1.0, 5.0, 6.0, 7.0), {}),
        ((1.0,), {"b": 4.0}),
        ((), {"a": 1.0, "c": 2.0}),
        ((1.0,), {"c": 8.0, "d": 9.0, "e": 1.0}),
    ]
    for args, kwargs in calls:
        assert f(*args, **kwargs) == plain(*args, **kwargs)


@pytest.mark.parametrize("args", [(), (1.0, 2.0)])
def test_a_wrong_number_of_arguments_is_the_type_error_of_python(args: tuple[Any, ...]) -> None:
    def f(a: Any) -> Any:
        return a

    with pytest.raises(TypeError, match="positional argument"):
        trace(f)(*args)


def test_one_program_is_compiled_per_signature() -> None:
    f = trace(lambda a, b: a * b)
    f(X, 2.0)
    f(X + 1, 3.0)
    f(X[::-1], -0.0)
    f(np.asfortranarray(X), float("nan"))
    assert entries(f) == 1


def test_a_new_dtype_shape_structure_or_kind_of_number_is_a_new_program() -> None:
    f = trace(lambda a: np.asarray(a) * 1)
    for count, a in enumerate(
        [X, X[:2], X.astype("f4"), X[None], 2.0, 2, np.float64(2), [2.0], (2.0,), INTS], 1
    ):
        f(a)
        assert entries(f) == count


def test_keyword_order_does_not_make_a_new_program() -> None:
    f = trace(lambda a, b: a - b)
    assert f(a=1.0, b=2.0) == f(b=2.0, a=1.0) == -1.0
    assert entries(f) == 1


def test_strings_bools_and_none_are_static() -> None:
    @trace
    def f(x: Any, kind: str, flip: bool = False, offset: Any = None) -> Any:
        y = {"sin": np.sin, "cos": np.cos}[kind](x)
        if flip:
            y = -y
        return y if offset is None else y + offset

    np.testing.assert_allclose(f(X, "sin"), np.sin(X), rtol=1e-15)
    np.testing.assert_allclose(f(X, "cos", True), -np.cos(X), rtol=1e-15)
    np.testing.assert_allclose(f(X, kind="cos", offset=1.0), np.cos(X) + 1, rtol=1e-15)
    assert entries(f) == 3


@pytest.mark.parametrize(
    "options",
    [{"static_argnums": 1}, {"static_argnums": -1}, {"static_argnames": "n"},
     {"static_argnums": (1,)}, {"static_argnames": ["n"]}],
)  # fmt: skip
def test_marked_numbers_are_static_by_position_and_by_name(options: dict[str, Any]) -> None:
    @trace(**options)
    def f(x: Any, n: int) -> Any:
        for _ in range(n):
            x = 2 * x
        return x

    np.testing.assert_array_equal(f(X, 3), 8 * X)
    np.testing.assert_array_equal(f(X, n=3), 8 * X)
    np.testing.assert_array_equal(f(x=X, n=2), 4 * X)
    np.testing.assert_array_equal(f(X, 2), 4 * X)
    assert entries(f) == 4


def test_static_numbers_that_are_equal_but_of_other_types_are_other_programs() -> None:
    f = trace(lambda x, n: x + n, static_argnums=1)
    for n in (1, True, 1.0, 0.0, -0.0):
        assert_identical(f(2, n), 2 + n)
    sign = trace(lambda x, n: x * math.copysign(1.0, n), static_argnums=1)
    assert (sign(2.0, 0.0), sign(2.0, -0.0)) == (2.0, -2.0)
    g = trace(lambda x, n: x * n[0], static_argnums=1)
    assert_identical([g(2, (1,)), g(2, (1.0,))], [2, 2.0])


def test_static_arguments_pass_through_derivatives() -> None:
    @trace(static_argnames="n")
    def f(x: Any, n: int) -> Any:
        assert isinstance(n, int)
        return np.sum(x ** int(n)) if n > 1 else np.sum(x)

    np.testing.assert_allclose(f.grad(X, 3), 3 * X**2)
    np.testing.assert_allclose(f.grad(X, n=3), 3 * X**2)
    np.testing.assert_allclose(f.hessian(X, 3), np.diag(6 * X))
    np.testing.assert_allclose(f.hvp(X, np.ones(4), 3), 6 * X)
    np.testing.assert_allclose(f.hvp(X, np.ones(4), n=3), 6 * X)
    np.testing.assert_allclose(f.jvp((X, 3), (np.ones(4), 0))[1], np.sum(3 * X**2))
    np.testing.assert_allclose(f.linearize(X, 3)[1](np.ones(4), 0), np.sum(3 * X**2))
    gradient, of_n = f.vjp(X, 3)[1](1.0)
    np.testing.assert_allclose(gradient, 3 * X**2)
    assert of_n is None


def test_hvp_keeps_static_arguments_on_both_sides() -> None:
    @trace(static_argnums=(0, 2))
    def f(n: int, x: Any, m: int, scale: Any) -> Any:
        return scale * np.sum(x ** [0, 1, 2, 3][n] * m)

    product = adgraph.hvp(f, 1)(X, np.ones(4), 3, 2, 5.0)
    np.testing.assert_allclose(product, 5 * 2 * 6 * X)


def test_a_static_argument_must_be_hashable() -> None:
    with pytest.raises(TracingError, match=r"n is static, and a ndarray has no hash"):
        trace(lambda x, n: x, static_argnames="n")(X, X)
    with pytest.raises(TracingError, match=r"table is static, and a set has no hash"):
        trace(lambda x, table: x)(X, {1, 2})


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"static_argnames": "m"}, r"static_argnames='m' names no parameter of f.*\(x, n\)"),
        ({"static_argnums": 2}, r"static_argnums=2 names no parameter"),
        ({"static_argnums": -3}, r"static_argnums=-3 names no parameter"),
        ({"static_argnums": "n"}, r"'n' is no position"),
        ({"static_argnums": 1.0}, r"1.0 is no position"),
        ({"memory_budget": "4 zebras"}, r"'4 zebras' is not understood"),
        ({"memory_budget": -1}, r"-1 is not understood"),
    ],
)
def test_wrong_options_are_errors_where_the_function_is_defined(
    options: dict[str, Any], found: str
) -> None:
    def f(x: Any, n: Any) -> Any:
        return x

    with pytest.raises((TracingError, adgraph.errors.ShapeError), match=found) as error:
        trace(f, **options)
    assert "test_signatures.py" in str(error.value)


def test_trace_of_no_function_says_so() -> None:
    with pytest.raises(TracingError, match="takes a function, found a int"):
        trace(3)


def test_defaults_partials_and_ufuncs_can_be_traced() -> None:
    def power(x: Any, n: int = 3, *, scale: float = 2.0) -> Any:
        return scale * x**n

    np.testing.assert_allclose(trace(power)(X), 2 * X**3)
    np.testing.assert_allclose(trace(functools.partial(power, n=2))(X), 2 * X**2)
    np.testing.assert_allclose(trace(functools.partial(power, X))(scale=1.0), X**3)
    np.testing.assert_allclose(trace(np.sin)(X), np.sin(X), rtol=1e-15)
    np.testing.assert_allclose(adgraph.grad(np.sin)(0.0), 1.0)
