"""Samples of the elementwise ops: one row per ufunc, and programs of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adgraph.ops.constant import named, stop_gradient
from tests.samples.sample import Make, Sample

Interval = tuple[float, float]
SHAPE = (3, 4)


def uniform(*intervals: Interval) -> Make:
    """Make one array per interval; the second one has a row only, so that it is broadcast."""

    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        shapes = (SHAPE, (1, SHAPE[1]), SHAPE)
        return tuple(
            rng.uniform(*interval, shape).astype(dtype)
            for interval, shape in zip(intervals, shapes, strict=False)
        )

    return make


def integers(*intervals: tuple[int, int]) -> Make:
    """Make one int64 array per interval."""

    def make(rng: np.random.Generator, dtype: Any) -> tuple[Any, ...]:
        return tuple(rng.integers(low, high, SHAPE) for low, high in intervals)

    return make


def smooth(
    name: str,
    function: Callable[..., Any],
    *intervals: Interval,
    analytic: bool = True,
    ops: tuple[str, ...] = (),
    exact: bool = True,
) -> Sample:
    """Return the row of a differentiable elementwise function."""
    return Sample(
        name=name,
        ops=ops or (name,),
        function=function,
        make=uniform(*intervals),
        analytic=analytic,
        exact=exact,
        resizable=True,
    )


def flat(name: str, function: Callable[..., Any], make: Make, **options: Any) -> Sample:
    """Return the row of a function that is constant almost everywhere, or of integers."""
    return Sample(
        name=name,
        ops=(name,),
        function=function,
        make=make,
        differentiable=False,
        resizable=True,
        **options,
    )


ANY = (-2.0, 2.0)
POSITIVE = (0.3, 3.0)
OPEN = (-0.9, 0.9)

_SMOOTH = (
    smooth("add", np.add, ANY, ANY),
    smooth("subtract", np.subtract, ANY, ANY),
    smooth("multiply", np.multiply, ANY, ANY),
    smooth("divide", np.divide, ANY, POSITIVE),
    smooth("negative", np.negative, ANY),
    smooth("positive", np.positive, ANY),
    smooth("conjugate", np.conjugate, ANY, analytic=False),
    smooth("reciprocal", np.reciprocal, POSITIVE),
    smooth("square", np.square, ANY),
    # Away from 0, where these have a kink.
    smooth("absolute", np.absolute, POSITIVE, analytic=False),
    smooth("absolute of negative", np.absolute, (-3.0, -0.3), analytic=False, ops=("absolute",)),
    smooth("fabs", np.fabs, (-3.0, -0.3), analytic=False),
    smooth("copysign", np.copysign, POSITIVE, (-3.0, -0.3), analytic=False),
    # The quotients stay between 1 and 2, away from the jumps.
    smooth("remainder", np.remainder, (-1.9, -1.1), (0.95, 1.05), analytic=False),
    smooth("fmod", np.fmod, (-1.9, -1.1), (0.95, 1.05), analytic=False),
    smooth("power", np.power, POSITIVE, ANY),
    smooth("sqrt", np.sqrt, POSITIVE),
    smooth("cbrt", np.cbrt, POSITIVE, analytic=False),
    smooth("hypot", np.hypot, ANY, POSITIVE, analytic=False, ops=("hypot", "leg")),
    smooth("exp", np.exp, ANY),
    smooth("exp2", np.exp2, ANY),
    smooth("expm1", np.expm1, ANY),
    smooth("log", np.log, POSITIVE),
    smooth("log2", np.log2, POSITIVE),
    smooth("log10", np.log10, POSITIVE),
    smooth("log1p", np.log1p, (-0.7, 3.0)),
    smooth("logaddexp", np.logaddexp, ANY, ANY, analytic=False),
    smooth("logaddexp2", np.logaddexp2, ANY, ANY, analytic=False),
    smooth("sin", np.sin, ANY),
    smooth("cos", np.cos, ANY),
    smooth("tan", np.tan, (-1.2, 1.2)),
    smooth("arcsin", np.arcsin, OPEN, ops=("arcsin", "one_minus_square")),
    smooth("arccos", np.arccos, OPEN),
    smooth("arctan", np.arctan, ANY),
    smooth("arctan2", np.arctan2, ANY, POSITIVE, analytic=False),
    smooth("deg2rad", np.deg2rad, (-180.0, 180.0), analytic=False),
    smooth("rad2deg", np.rad2deg, ANY, analytic=False),
    smooth("sinc", np.sinc, (0.6, 2.0)),
    smooth("sinc near 0", np.sinc, (-0.4, 0.4), ops=("sinc",)),
    smooth("sinh", np.sinh, ANY),
    smooth("cosh", np.cosh, ANY),
    smooth("tanh", np.tanh, ANY, ops=("tanh", "tanh_slope")),
    smooth("arcsinh", np.arcsinh, ANY),
    smooth("arccosh", np.arccosh, (1.2, 3.0)),
    smooth("arctanh", np.arctanh, OPEN),
    # Operands apart by more than the step of the differences.
    smooth("maximum", np.maximum, (1.0, 2.0), (0.0, 0.9), analytic=False),
    smooth("minimum", np.minimum, (1.0, 2.0), (0.0, 0.9), analytic=False),
    smooth("fmax", np.fmax, (0.0, 0.9), (1.0, 2.0), analytic=False),
    smooth("fmin", np.fmin, (0.0, 0.9), (1.0, 2.0), analytic=False),
)

_STEPS = (
    flat("sign", np.sign, uniform(ANY), skip={"zero of complex": "z / |z| is no step"}),
    flat("floor_divide", np.floor_divide, uniform(ANY, POSITIVE)),
    flat("floor", np.floor, uniform(ANY)),
    flat("ceil", np.ceil, uniform(ANY)),
    flat("trunc", np.trunc, uniform(ANY)),
    flat("rint", np.rint, uniform(ANY)),
    flat("isnan", np.isnan, uniform(ANY)),
    flat("isinf", np.isinf, uniform(ANY)),
    flat("isfinite", np.isfinite, uniform(ANY)),
    flat("signbit", np.signbit, uniform(ANY)),
    flat("greater", np.greater, uniform(ANY, ANY)),
    flat("greater_equal", np.greater_equal, uniform(ANY, ANY)),
    flat("less", np.less, uniform(ANY, ANY)),
    flat("less_equal", np.less_equal, uniform(ANY, ANY)),
    flat("equal", np.equal, integers((-2, 2), (-2, 2)), dtypes=("f8",)),
    flat("not_equal", np.not_equal, integers((-2, 2), (-2, 2)), dtypes=("f8",)),
    flat("logical_and", np.logical_and, integers((-1, 2), (-1, 2)), dtypes=("f8",)),
    flat("logical_or", np.logical_or, integers((-1, 2), (-1, 2)), dtypes=("f8",)),
    flat("logical_xor", np.logical_xor, integers((-1, 2), (-1, 2)), dtypes=("f8",)),
    flat("logical_not", np.logical_not, integers((-1, 2)), dtypes=("f8",)),
    flat("bitwise_and", np.bitwise_and, integers((-9, 9), (-9, 9)), dtypes=("f8",)),
    flat("bitwise_or", np.bitwise_or, integers((-9, 9), (-9, 9)), dtypes=("f8",)),
    flat("bitwise_xor", np.bitwise_xor, integers((-9, 9), (-9, 9)), dtypes=("f8",)),
    flat("invert", np.invert, integers((-9, 9)), dtypes=("f8",)),
    flat("left_shift", np.left_shift, integers((-9, 9), (0, 70)), dtypes=("f8",)),
    flat("right_shift", np.right_shift, integers((-9, 9), (0, 70)), dtypes=("f8",)),
    flat("gcd", np.gcd, integers((-30, 30), (-30, 30)), dtypes=("f8",)),
    flat("lcm", np.lcm, integers((-30, 30), (-30, 30)), dtypes=("f8",)),
)


def _masked_logarithm(x: Any) -> Any:
    return np.where(x > 0, np.log(x), 0.0)


def _clipped_products(x: Any, y: Any) -> Any:
    return np.clip(x * y, -0.5, 0.5) + np.clip(x, None, 1.0)


def _rounded(x: Any) -> Any:
    return np.round(x, 2), np.round(x), np.fix(x), np.nan_to_num(x), np.round(x * 1000.0, -2)


def _heaviside(x: Any, at_zero: Any) -> Any:
    return np.heaviside(np.trunc(x), at_zero)


def _softened(x: Any, limit: Any) -> Any:
    fraction, whole = np.modf(x)
    quotient, rest = np.divmod(x, limit)
    return fraction * rest + whole + quotient


def _mean_of_complement(x: Any) -> Any:
    return (1.0 - x) / 3 + 2 * x**2 - x**-1 + x**0.5 + 2.0**x + x**3


def _rounding_up(x: Any, y: Any) -> Any:
    return x * np.nextafter(y, 3.0)


def _copied_and_converted(x: Any) -> Any:
    return x.astype(np.result_type(x, np.float64)) * x.copy()


SAMPLES = [
    *_SMOOTH,
    *_STEPS,
    Sample(
        name="where over a logarithm",
        ops=("where", "multiply_no_nan"),
        function=_masked_logarithm,
        make=lambda rng, dtype: (np.array([1.5, 2.0, -1.0, 0.7, -0.3], dtype),),
        resizable=True,
    ),
    Sample(
        name="clip",
        ops=("maximum", "minimum"),
        function=_clipped_products,
        make=uniform((0.3, 0.45), (0.3, 0.45)),
        resizable=True,
    ),
    Sample(
        name="round",
        ops=("rint", "trunc", "where"),
        function=_rounded,
        make=uniform(POSITIVE),
        skip={"difference": "the first, second and last results jump every few steps"},
        resizable=True,
    ),
    Sample(
        name="heaviside",
        ops=("heaviside",),
        function=_heaviside,
        make=lambda rng, dtype: (
            np.array([1.5, -1.5, 0.5, -0.5], dtype),
            rng.uniform(0.5, 1.0, 4).astype(dtype),
        ),
        resizable=True,
    ),
    Sample(
        name="modf and divmod",
        ops=("trunc", "floor_divide", "remainder"),
        function=_softened,
        make=uniform((1.1, 1.9), (0.95, 1.05)),
        resizable=True,
    ),
    Sample(
        name="powers and Python numbers",
        ops=("power", "square", "reciprocal", "sqrt", "subtract"),
        function=_mean_of_complement,
        make=uniform(POSITIVE),
        analytic=True,
        resizable=True,
    ),
    Sample(
        name="nextafter",
        ops=("nextafter",),
        function=_rounding_up,
        make=uniform(ANY, ANY),
        resizable=True,
    ),
    Sample(
        name="conversions",
        ops=("convert",),
        function=_copied_and_converted,
        make=uniform(ANY),
        dtypes=("f4",),
        resizable=True,
    ),
    Sample(
        name="stop_gradient",
        ops=("stop_gradient",),
        function=lambda x: stop_gradient(x) * np.ceil(x),
        make=uniform(POSITIVE),
        differentiable=False,
        resizable=True,
    ),
    Sample(
        name="name",
        ops=("name",),
        function=lambda x: named(np.sin(x), tag="sine") * x,
        make=uniform(ANY),
        resizable=True,
    ),
    Sample(
        name="operands that do not broadcast",
        ops=("add",),
        function=np.add,
        make=uniform(ANY, ANY),
        errors=(
            (lambda rng, dtype: (np.ones(3, dtype), np.ones(4, dtype)), ValueError),
            (lambda rng, dtype: (np.ones((2, 3), dtype), np.ones((3, 2), dtype)), ValueError),
        ),
    ),
    Sample(
        name="dtypes without a loop",
        ops=("bitwise_and",),
        function=np.bitwise_and,
        make=integers((-9, 9), (-9, 9)),
        differentiable=False,
        dtypes=("f8",),
        errors=((lambda rng, dtype: (np.ones(3, dtype), np.ones(3, dtype)), TypeError),),
    ),
]
