"""The functions of kernel text: accuracy against mpmath, NumPy's semantics at every odd place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath  # type: ignore[import-untyped]  # carries no types
import numpy as np
import pytest
import scipy.special
from numpy.typing import NDArray

from adgraph.lower import native
from adgraph.lower.kernel import KernelSource, compile_kernels, kernel_assembly

pytestmark = pytest.mark.usefixtures("backend")

Array = NDArray[Any]
FLOATS = ["f8", "f4"]
INTEGERS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
LIMIT_ULP = 3.0

MPMATH: dict[str, tuple[Callable[..., Any], Callable[[Array], Array]]] = {
    "exp": (mpmath.exp, lambda x: abs(x) < 1e6),
    "expm1": (mpmath.expm1, lambda x: abs(x) < 1e6),
    "exp2": (lambda x: mpmath.mpf(2) ** x, lambda x: abs(x) < 1e6),
    "log": (mpmath.log, lambda x: x > 0),
    "log1p": (mpmath.log1p, lambda x: x > -1),
    "log2": (lambda x: mpmath.log(x, 2), lambda x: x > 0),
    "log10": (lambda x: mpmath.log(x, 10), lambda x: x > 0),
    "sin": (mpmath.sin, np.isfinite),
    "cos": (mpmath.cos, np.isfinite),
    "tan": (mpmath.tan, np.isfinite),
    "sinh": (mpmath.sinh, lambda x: abs(x) < 1e6),
    "cosh": (mpmath.cosh, lambda x: abs(x) < 1e6),
    "tanh": (mpmath.tanh, lambda x: abs(x) < 1e6),
    "tanh_slope": (lambda x: mpmath.sech(x) ** 2, lambda x: abs(x) < 1e6),
    "arcsin": (mpmath.asin, lambda x: abs(x) <= 1),
    "arccos": (mpmath.acos, lambda x: abs(x) <= 1),
    "arctan": (mpmath.atan, np.isfinite),
    "arcsinh": (mpmath.asinh, np.isfinite),
    "arccosh": (mpmath.acosh, lambda x: x >= 1),
    "arctanh": (mpmath.atanh, lambda x: abs(x) < 1),
    "sqrt": (mpmath.sqrt, lambda x: x >= 0),
    "cbrt": (lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), np.isfinite),
    "expit": (lambda x: 1 / (1 + mpmath.exp(-x)), lambda x: abs(x) < 1e6),
    "erf": (mpmath.erf, lambda x: abs(x) < 1e6),
    "erfc": (mpmath.erfc, lambda x: abs(x) < 1e6),
    "gammaln": (mpmath.loggamma, lambda x: x > 0),
    "digamma": (mpmath.digamma, lambda x: x > 0),
    "gamma": (mpmath.gamma, lambda x: (x > 0) & (x < 30)),
}
SPECIAL = ("psi", "log_ndtr", "ndtr", "ndtri", "erfinv", "erfcinv")
OWN = {"tanh_slope": lambda x: 1 / np.cosh(x) ** 2}
EXTREMA = ("maximum", "minimum", "fmax", "fmin")
BINARY_EXACT = (*EXTREMA, "fmod", "remainder", "floor_divide", "copysign", "nextafter", "heaviside")
PAIRS: dict[str, Callable[..., Any]] = {
    "arctan2": mpmath.atan2,
    "hypot": mpmath.hypot,
    "power": mpmath.power,
}
BINARY_ROUNDED = ("arctan2", "hypot", "power", "logaddexp", "logaddexp2", "xlogy", "xlog1py")


def kernel(name: str, *codes: str) -> KernelSource:
    """Return the kernel y[i] = name(x0[i], ...); the last code is the result's."""
    inputs = [f"x{i}" for i in range(len(codes) - 1)]
    arguments = ", ".join(f"{x}[i]" for x in inputs)
    text = f"""def f({", ".join(inputs)}, y, n):
    for i in range(n):
        y[i] = {name}({arguments})
"""
    return KernelSource(name, codes, 1, text)


def evaluate(call: Any, name: str, *operands: Array, result: str | None = None) -> Array:
    codes = [f"{x.dtype.kind}{x.dtype.itemsize}" for x in operands]
    out = np.zeros(operands[0].shape, result or codes[0])
    (address,) = compile_kernels([kernel(name, *codes, f"{out.dtype.kind}{out.dtype.itemsize}")])
    arrays = [np.ascontiguousarray(x) for x in operands]
    assert call(address, [*arrays, out], out.size) == 0
    return out


def numpy_function(name: str) -> Any:
    if name in OWN:
        return OWN[name]
    return getattr(np, name, None) or getattr(scipy.special, name)


def whole_range(dtype: str, count: int = 60) -> Array:
    """Return numbers of every magnitude, denormals and huge ones included, of both signs."""
    rng = np.random.default_rng(7)
    limits = np.finfo(dtype)
    smallest, largest = np.log2([float(limits.smallest_subnormal), float(limits.max)])
    magnitudes = 2.0 ** rng.uniform(smallest, largest, count)
    steps = [rng.uniform(0, top, count) for top in (1, 3, 30, 110 if dtype == "f4" else 800)]
    near_one = 1 + rng.uniform(-1e-3, 1e-3, count)
    turns = np.arange(20) * np.pi / 2
    edges = [limits.smallest_subnormal, limits.tiny, limits.eps, limits.max, 0.5, 1, 2, 1e22]
    positive = np.concatenate([magnitudes, *steps, near_one, turns, edges]).astype(dtype)
    return np.concatenate([positive, -positive])


def edges(dtype: str) -> Array:
    limits = np.finfo(dtype)
    values = [0.0, 1.0, 0.5, 2.0, 3.0, 7.5, np.inf, float(limits.max), float(limits.tiny)]
    return np.array([*values, *(-v for v in values), np.nan] * 2, dtype)


def ulps(value: Any, exact: Any, dtype: str) -> float:
    """Return the distance in units of the last place of the exact value; 0 for equal infinities."""
    with np.errstate(over="ignore"):
        nearest = np.dtype(dtype).type(float(exact))
    if np.isinf(nearest) or np.isinf(value):
        largest = float(np.finfo(dtype).max)
        near = min(abs(float(value)), largest) / min(abs(float(nearest)), largest)
        return 0.0 if abs(near - 1) < 1e-6 and np.sign(value) == np.sign(nearest) else np.inf
    spacing = mpmath.mpf(float(np.spacing(abs(nearest))))
    return float(abs(mpmath.mpf(float(value)) - exact) / spacing)


def assert_same_meaning(got: Array, expected: Array, message: str) -> None:
    """Check nan, infinities and signs of zeros, not last bits."""
    np.testing.assert_array_equal(np.isnan(got), np.isnan(expected), message)
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(got[infinite], expected[infinite], message)
    zero = expected == 0
    np.testing.assert_array_equal(got[zero], 0, message)
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(expected[zero]), message)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", MPMATH)
def test_a_function_is_accurate_to_three_ulp_over_the_whole_range(
    call: Any, name: str, dtype: str
) -> None:
    exact, domain = MPMATH[name]
    x = whole_range(dtype)
    x = x[domain(x)]
    y = evaluate(call, name, x)
    with mpmath.workprec(160):
        errors = [ulps(b, exact(mpmath.mpf(float(a))), dtype) for a, b in zip(x, y, strict=True)]
    worst = int(np.argmax(errors))
    assert errors[worst] <= LIMIT_ULP, f"{name}({x[worst]!r}) = {y[worst]!r}: {errors[worst]} ulp"


SINE_AND_COSINE = """def f(x, s, c, n):
    for i in range(n):
        t = x[i]
        s[i] = sin(t)
        c[i] = cos(t)
"""


def sine_and_cosine(call: Any, x: Array) -> tuple[Array, Array]:
    code = f"f{x.dtype.itemsize}"
    (address,) = compile_kernels([KernelSource("pair", (code,) * 3, 1, SINE_AND_COSINE)])
    s, c = np.zeros_like(x), np.zeros_like(x)
    assert call(address, [x, s, c], x.size) == 0
    return s, c


@pytest.mark.parametrize("dtype", FLOATS)
def test_sine_and_cosine_of_one_argument_are_accurate_to_three_ulp(call: Any, dtype: str) -> None:
    turns = np.random.default_rng(13).integers(1, 2**27, 200) * (np.pi / 2)
    x = np.concatenate([whole_range(dtype), turns.astype(dtype), -turns.astype(dtype)])
    with mpmath.workprec(1300):
        for got, exact in zip(sine_and_cosine(call, x), (mpmath.sin, mpmath.cos), strict=True):
            errors = [
                ulps(b, exact(mpmath.mpf(float(a))), dtype) for a, b in zip(x, got, strict=True)
            ]
            worst = int(np.argmax(errors))
            assert errors[worst] <= LIMIT_ULP, f"{exact}({x[worst]!r}): {errors[worst]} ulp"


@pytest.mark.parametrize("dtype", FLOATS)
def test_sine_and_cosine_of_one_argument_have_the_special_values_of_numpy(
    call: Any, dtype: str
) -> None:
    x = np.resize(edges(dtype), 64)
    with np.errstate(all="ignore"):
        expected = np.sin(x), np.cos(x)
    for got, other, name in zip(sine_and_cosine(call, x), expected, ("sin", "cos"), strict=True):
        assert_same_meaning(got, other, name)


def test_a_large_argument_changes_no_sine_beside_it(call: Any) -> None:
    x = np.linspace(-9, 9, 64)
    among = np.where(np.arange(64) % 8 == 3, 1e200, x)
    for alone, mixed in zip(sine_and_cosine(call, x), sine_and_cosine(call, among), strict=True):
        np.testing.assert_array_equal(alone[among == x], mixed[among == x])


def pairs(name: str, dtype: str, count: int = 300) -> tuple[Array, Array]:
    """Return operands of every magnitude; the results of powers stay within the range."""
    rng = np.random.default_rng(11)
    most = float(np.log(np.finfo(dtype).max)) - 1
    near_one = 1 + rng.uniform(-1e-2, 1e-2, count)
    a = np.concatenate([np.exp(rng.uniform(-most, most, count)), near_one]).astype(dtype)
    if name == "power":
        logarithm = np.log(a.astype("f8"))
        exponent = rng.uniform(-most, most, a.size) / np.where(logarithm == 0, 1, logarithm)
        return a, exponent.astype(dtype)
    signs = rng.choice([-1, 1], (2, a.size))
    b = np.where(rng.random(a.size) < 0.5, a[::-1], a * rng.uniform(0.1, 1, a.size))
    return (a * signs[0]).astype(dtype), (b * signs[1]).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", PAIRS)
def test_a_function_of_two_operands_is_accurate_to_three_ulp(
    call: Any, name: str, dtype: str
) -> None:
    a, b = pairs(name, dtype)
    y = evaluate(call, name, a, b)
    with mpmath.workprec(200):
        exact = [PAIRS[name](*map(mpmath.mpf, map(float, pair))) for pair in zip(a, b, strict=True)]
        tiny = float(np.finfo(dtype).tiny)
        errors = [
            ulps(value, true, dtype) if abs(true) >= tiny else 0.0
            for value, true in zip(y, exact, strict=True)
        ]
    worst = int(np.argmax(errors))
    assert errors[worst] <= LIMIT_ULP, f"{name}({a[worst]!r}, {b[worst]!r}): {errors[worst]} ulp"


@pytest.mark.parametrize("name", ["gammaln", "digamma"])
def test_a_gamma_function_of_negative_numbers_agrees_with_scipy(call: Any, name: str) -> None:
    x = -np.concatenate([np.linspace(0.05, 30.95, 200), [1e-300, 1e-10, 0.999, 170.4]])
    expected = numpy_function(name)(x)
    np.testing.assert_allclose(evaluate(call, name, x), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [*MPMATH, *SPECIAL, "absolute", "sign", "floor", "ceil", "rint"])
def test_a_function_has_the_special_values_of_numpy(call: Any, name: str, dtype: str) -> None:
    x = edges(dtype)
    with np.errstate(all="ignore"):
        expected = numpy_function(name)(x)
    assert_same_meaning(evaluate(call, name, x), expected, name)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SPECIAL)
def test_a_special_function_agrees_with_scipy(call: Any, name: str, dtype: str) -> None:
    high = {"erfinv": 0.999, "erfcinv": 1.9, "ndtri": 0.999}.get(name, 9.0)
    x = np.linspace(0.01, high, 100).astype(dtype)
    expected = numpy_function(name)(x)
    tolerance = 1e-13 if dtype == "f8" else 3e-6
    np.testing.assert_allclose(evaluate(call, name, x), expected, rtol=tolerance)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BINARY_EXACT)
def test_a_binary_function_equals_numpy_for_all_pairs_of_edges(
    call: Any, name: str, dtype: str
) -> None:
    a, b = (grid.ravel() for grid in np.meshgrid(edges(dtype), edges(dtype)))
    with np.errstate(all="ignore"):
        expected = numpy_function(name)(a, b)
    got = evaluate(call, name, a, b)
    np.testing.assert_array_equal(got, expected)
    if name not in EXTREMA:
        assert_same_meaning(got, expected, name)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BINARY_ROUNDED)
def test_a_binary_function_agrees_with_numpy(call: Any, name: str, dtype: str) -> None:
    a, b = (grid.ravel() for grid in np.meshgrid(edges(dtype), edges(dtype)))
    with np.errstate(all="ignore"):
        expected = numpy_function(name)(a, b)
    got = evaluate(call, name, a, b)
    assert_same_meaning(got, expected, name)
    rng = np.random.default_rng(3)
    a, b = rng.uniform(0.1, 20, (2, 500)).astype(dtype)
    tolerance = 1e-14 if dtype == "f8" else 2e-6
    expected = numpy_function(name)(a, b)
    np.testing.assert_allclose(evaluate(call, name, a, b), expected, rtol=tolerance)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["fmod", "remainder", "floor_divide"])
def test_division_equals_numpy_on_random_numbers(call: Any, name: str, dtype: str) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.uniform(-50, 50, (2, 1000)).astype(dtype)
    np.testing.assert_array_equal(evaluate(call, name, a, b), numpy_function(name)(a, b))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite", "signbit"])
def test_a_predicate_equals_numpy(call: Any, name: str, dtype: str) -> None:
    x = edges(dtype)
    np.testing.assert_array_equal(evaluate(call, name, x, result="b1"), numpy_function(name)(x))


def test_a_zero_cotangent_silences_infinite_and_undefined_partials(call: Any) -> None:
    cotangent = np.array([0.0, -0.0, 2.0, 2.0, np.nan])
    partial = np.array([np.inf, np.nan, 3.0, np.nan, 1.0])
    got = evaluate(call, "multiply_no_nan", cotangent, partial)
    np.testing.assert_array_equal(got, [0.0, 0.0, 6.0, np.nan, np.nan])


@pytest.mark.parametrize("x", [1.5, 2.0, 3.0, 7.0, 40.0])
def test_zeta_agrees_with_scipy(call: Any, x: float) -> None:
    """Mpmath 1.3 is wrong in the 13th digit of zeta(40, 1e4), whatever its precision."""
    q = np.array([1e-3, 0.3, 1.0, 1.7, 5.0, 30.0, 1e4])
    expected = scipy.special.zeta(x, q)
    np.testing.assert_allclose(evaluate(call, "zeta", np.full(7, x), q), expected, rtol=1e-13)


def test_zeta_has_the_special_values_of_scipy(call: Any) -> None:
    x = np.array([1.0, 0.5, 2.0, 2.0, 2.0, 2.5, 3.0, np.nan, 2.0])
    q = np.array([2.0, 2.0, 0.0, -1.0, -0.5, -0.5, -1.5, 1.0, np.nan])
    expected = scipy.special.zeta(x, q)
    np.testing.assert_allclose(evaluate(call, "zeta", x, q), expected, rtol=1e-13)


def test_polygamma_agrees_with_scipy(call: Any) -> None:
    n, x = (g.ravel() for g in np.meshgrid(np.arange(5.0), [-1.5, -0.3, 0.2, 1.0, 3.3, 50.0]))
    expected = scipy.special.polygamma(n, x)
    np.testing.assert_allclose(evaluate(call, "polygamma", n, x), expected, rtol=1e-12)


def integer_pairs(dtype: str) -> tuple[Array, Array]:
    limits = np.iinfo(dtype)
    values = [0, 1, 2, 3, 5, 7, 12, limits.max, limits.min]
    values += [-1, -2, -3, -7] if limits.min else []
    a, b = np.meshgrid(np.array(values, dtype), np.array(values, dtype))
    return a.ravel(), b.ravel()


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize(
    "name", ["floor_divide", "remainder", "fmod", "maximum", "minimum", "gcd", "lcm"]
)
def test_an_integer_function_equals_numpy(call: Any, name: str, dtype: str) -> None:
    a, b = integer_pairs(dtype)
    with np.errstate(all="ignore"):
        expected = numpy_function(name)(a, b)
    np.testing.assert_array_equal(evaluate(call, name, a, b), expected)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_powers_shifts_signs_and_magnitudes_equal_numpy(call: Any, dtype: str) -> None:
    a, _ = integer_pairs(dtype)
    exponent = (np.arange(a.size) % 9).astype(dtype)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(evaluate(call, "power", a, exponent), a**exponent)
        for name in ("left_shift", "right_shift"):
            expected = numpy_function(name)(a, exponent * 8 % 127)
            np.testing.assert_array_equal(
                evaluate(call, name, a, exponent * 8 % 127), expected, name
            )
        for name in ("absolute", "sign"):
            np.testing.assert_array_equal(evaluate(call, name, a), numpy_function(name)(a))


def test_where_selects_without_touching_the_other_branch(call: Any) -> None:
    text = (
        "def f(m, x, y, n):\n    for i in range(n):\n        y[i] = where(m[i], log(x[i]), x[i])\n"
    )
    (address,) = compile_kernels([KernelSource("f", ("?", "f8", "f8"), 1, text)])
    x, y = np.array([1.0, -1.0, 2.0]), np.zeros(3)
    call(address, [x > 0, x, y], 3)
    np.testing.assert_allclose(y, [0.0, -1.0, np.log(2.0)], rtol=1e-15)


@pytest.mark.parametrize("dtype", [*FLOATS, "i4", "i8", "u1"])
@pytest.mark.parametrize(
    ("fold", "numpy_name"), [("add", "sum"), ("maximum", "max"), ("minimum", "min")]
)
def test_a_fold_equals_numpy(call: Any, fold: str, numpy_name: str, dtype: str) -> None:
    x = (np.random.default_rng(1).uniform(0, 100, 1003)).astype(dtype)
    text = f"""def f(x, y, n):
    s = x[0]
    for i in range(1, n):
        s = fold_{fold}(s, x[i])
    y[0] = s
"""
    (address,) = compile_kernels([KernelSource("f", (dtype, dtype), 1, text)])
    results = []
    for _ in range(2):
        y = np.zeros(1, dtype)
        call(address, [x, y], x.size)
        results.append(y[0])
    assert results[0].tobytes() == results[1].tobytes()
    with np.errstate(over="ignore"):
        expected = (
            getattr(x, numpy_name)(dtype=dtype) if fold == "add" else getattr(x, numpy_name)()
        )
    np.testing.assert_allclose(results[0], expected, rtol=1e-4 if dtype == "f4" else 1e-13)


@pytest.mark.parametrize("fold", ["fold_maximum", "fold_minimum"])
@pytest.mark.parametrize("place", [0, 5, 500])
def test_an_extremum_fold_propagates_nan(call: Any, fold: str, place: int) -> None:
    text = f"""def f(x, y, n):
    s = x[0]
    for i in range(n):
        s = {fold}(s, x[i])
    y[0] = s
"""
    (address,) = compile_kernels([KernelSource("f", ("f8", "f8"), 1, text)])
    x, y = np.random.default_rng(0).random(501), np.zeros(1)
    x[place] = np.nan
    call(address, [x, y], x.size)
    assert np.isnan(y[0])


@pytest.mark.skipif(not native.has_fma(), reason="without fused multiply-add libm is used")
@pytest.mark.parametrize("name", ["exp", "log", "tanh", "expit", "expm1", "log1p"])
def test_own_approximations_become_vector_code(name: str) -> None:
    assembly = kernel_assembly(kernel(name, "f8", "f8"))
    assert "vfmadd" in assembly or "fmla" in assembly
    assert "pd\t" in assembly or ".2d" in assembly
    assert f"call\t{name}" not in assembly
