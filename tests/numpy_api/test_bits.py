"""np.packbits and np.unpackbits equal NumPy's for every axis, order and count."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from adgraph import trace
from tests.numpy_api.agreement import assert_agrees

RNG = np.random.default_rng(1)
BYTES = RNG.integers(0, 256, (3, 2, 5)).astype(np.uint8)
MASK = RNG.random((3, 11)) < 0.5
ARRAYS = {
    "mask": MASK,
    "bytes": BYTES,
    "integers": MASK * 3,
    "line": MASK[0],
    "empty": MASK[:0],
    "floats": MASK * 1.0,
}
axes = st.sampled_from([None, 0, 1, -1, 3])
orders = st.sampled_from(["big", "little", "other"])


@given(st.sampled_from(sorted(ARRAYS)), axes, orders)
@settings(max_examples=60, deadline=None)
def test_packing_equals_numpy(name: str, axis: Any, order: Any) -> None:
    assert_agrees(lambda x: np.packbits(x, axis, order), ARRAYS[name])


@given(axes, st.sampled_from([None, 0, 3, 40, -2, -500]), orders)
@settings(max_examples=60, deadline=None)
def test_unpacking_equals_numpy(axis: Any, count: Any, order: Any) -> None:
    assert_agrees(lambda x: np.unpackbits(x, axis, count, order), BYTES)


def test_kernels_pack_and_unpack() -> None:
    def both(x: Any) -> Any:
        return np.unpackbits(np.packbits(x > 0), count=x.size)

    x = RNG.normal(size=100)
    np.testing.assert_array_equal(trace(both)(x), x > 0)
