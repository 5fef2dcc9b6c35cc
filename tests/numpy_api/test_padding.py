"""numpy.pad: every mode with its keyword, values, dtypes and errors as NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adgraph import trace
from adgraph.errors import TracingError
from adgraph.testing import check_derivatives
from tests.numpy_api.agreement import assert_agrees

RNG = np.random.default_rng(3)
M = RNG.normal(size=(4, 3))
ARRAYS = {
    "float": M,
    "narrow": M.astype("f4"),
    "integers": RNG.integers(-9, 9, (4, 3)),
    "bytes": RNG.integers(0, 255, (4, 3)).astype("u1"),
    "column": M[:, :1],
    "line": M[0],
    "complex": M + 1j * M[::-1],
    "empty": M[:0],
    "number": np.float64(3),
}
widths = st.sampled_from([0, 1, 5, (2, 3), ((0, 1), (7, 0)), [[1]], -1, 1.5])
modes = st.one_of(
    st.tuples(st.sampled_from(["edge", "wrap", "other"]), st.just({})),
    st.tuples(
        st.sampled_from(["reflect", "symmetric"]),
        st.sampled_from([{}, {"reflect_type": "odd"}, {"reflect_type": "even"}, {"end_values": 1}]),
    ),
    st.tuples(st.just("constant"), st.sampled_from([{}, {"constant_values": (3, 4)}])),
    st.tuples(st.just("linear_ramp"), st.sampled_from([{}, {"end_values": (-4, 5)}])),
    st.tuples(
        st.sampled_from(["maximum", "minimum", "mean", "median"]),
        st.sampled_from([{}, {"stat_length": 2}, {"stat_length": (1, 9)}, {"stat_length": -1}]),
    ),
)


def _comparable(x: Any, mode: str) -> bool:
    """NumPy orders complex numbers, and checks what numbers have no use for."""
    ordered = x.dtype.kind == "c" and mode in ("maximum", "minimum", "median")
    return x.ndim > 0 and not ordered


@given(st.sampled_from(sorted(ARRAYS)), widths, modes)
@settings(max_examples=150, deadline=None)
def test_every_mode_equals_numpy(name: str, width: Any, mode: Any) -> None:
    x = ARRAYS[name]
    if _comparable(x, mode[0]):
        assert_agrees(lambda x: np.pad(x, width, mode[0], **mode[1]), x)


@pytest.mark.parametrize("mode", ["linear_ramp", "mean", "median", "maximum", "reflect"])
def test_padding_is_differentiable(mode: str) -> None:
    option = {"reflect_type": "odd"} if mode == "reflect" else {}
    check_derivatives(lambda x: np.pad(np.sin(x), ((6, 1), (0, 2)), mode, **option), M)


def test_end_values_may_be_traced() -> None:
    check_derivatives(lambda x, e: np.pad(x, 3, "linear_ramp", end_values=e), M[0], np.float64(2))


@pytest.mark.parametrize("fills", [lambda c: c, lambda c: (c, 2 * c)])
def test_constant_values_may_be_traced(fills: Callable[[Any], Any]) -> None:
    def padded(x: Any, c: Any) -> Any:
        return np.pad(x, ((1, 0), (2, 3)), constant_values=fills(c))

    assert assert_agrees(padded, M, np.float64(2))
    assert assert_agrees(padded, ARRAYS["integers"], np.float64(2.5))
    check_derivatives(padded, M, np.float64(2))


def test_what_empty_leaves_undefined_is_zero() -> None:
    assert trace(lambda x: np.pad(x, 1, "empty"))(M[0]).tolist() == [0.0, *M[0], 0.0]


def test_functions_as_modes_are_refused() -> None:
    with pytest.raises(TracingError, match="pad with zeros and write into the result"):
        trace(lambda x: np.pad(x, 1, lambda *_: None))(M[0])
