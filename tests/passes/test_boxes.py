"""Questions about boxes are answered as NumPy's indexing answers them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adgraph.ir.types import Index, Slice, native_index
from adgraph.passes.boxes import FLAT, box_shape, disjoint, interval, relative, whole

SHAPES = st.lists(st.integers(0, 5), min_size=0, max_size=3).map(tuple)


@st.composite
def entries(draw: st.DrawFn, extent: int) -> int | Slice:
    if extent and draw(st.booleans()):
        return draw(st.integers(0, extent - 1))
    ends = st.one_of(st.none(), st.integers(0, extent))
    step = draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
    return Slice.of(slice(draw(ends), draw(ends), step), extent)


@st.composite
def shapes_and_boxes(draw: st.DrawFn) -> tuple[tuple[int, ...], Index, Index]:
    shape = draw(SHAPES)
    first, second = (tuple(draw(entries(n)) for n in shape) for _ in range(2))
    return shape, first, second


def _positions(shape: tuple[int, ...], index: Index) -> np.ndarray:
    return np.arange(math.prod(shape)).reshape(shape)[native_index(index)]


@given(shapes_and_boxes())
def test_disjoint_boxes_share_no_element(case: tuple[tuple[int, ...], Index, Index]) -> None:
    shape, a, b = case
    common = np.intersect1d(_positions(shape, a), _positions(shape, b))
    if disjoint(a, b):
        assert not common.size
    elif not _crossed(a, b):
        assert common.size


def _crossed(a: Index, b: Index) -> bool:
    """Progressions of unequal steps may miss each other without a proof."""
    return any(
        isinstance(i, Slice) and isinstance(j, Slice) and abs(i.step) != abs(j.step)
        for i, j in zip(a, b, strict=True)
    )


@given(shapes_and_boxes())
def test_a_relative_index_selects_the_inner_box(
    case: tuple[tuple[int, ...], Index, Index],
) -> None:
    shape, outer, inner = case
    part = relative(outer, inner)
    if part is None:
        return
    selected = _positions(shape, outer)[native_index(part)]
    np.testing.assert_array_equal(selected.ravel(), _positions(shape, inner).ravel())


@given(shapes_and_boxes())
def test_an_index_inside_itself_is_found(case: tuple[tuple[int, ...], Index, Index]) -> None:
    _, index, _ = case
    assert relative(index, index) is not None


@given(shapes_and_boxes())
def test_the_whole_box_is_the_array_in_order(case: tuple[tuple[int, ...], Index, Index]) -> None:
    shape, index, _ = case
    everything = np.arange(math.prod(shape))
    in_order = np.array_equal(_positions(shape, index).ravel(), everything)
    assert in_order == whole(index, shape) or not everything.size


@given(shapes_and_boxes())
def test_an_interval_of_the_flat_line_lists_the_box(
    case: tuple[tuple[int, ...], Index, Index],
) -> None:
    shape, index, _ = case
    span = interval(index, shape, FLAT)
    positions = _positions(shape, index).ravel()
    if span is not None and positions.size:
        np.testing.assert_array_equal(positions, np.arange(*span))
    elif span is None and positions.size:
        assert not np.array_equal(positions, positions[0] + np.arange(positions.size))


@given(shapes_and_boxes())
def test_an_interval_of_an_axis_lists_the_box(
    case: tuple[tuple[int, ...], Index, Index],
) -> None:
    shape, index, _ = case
    for axis in range(len(shape)):
        span = interval(index, shape, axis)
        if span is not None:
            box = [Slice(0, n, 1) for n in shape]
            box[axis] = Slice(span[0], span[1] - span[0], 1)
            whole_box = _positions(shape, tuple(box))
            np.testing.assert_array_equal(whole_box.ravel(), _positions(shape, index).ravel())
            assert math.prod(box_shape(index)) == whole_box.size
