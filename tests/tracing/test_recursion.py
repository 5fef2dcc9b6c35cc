"""Functions that call themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adgraph import trace
from adgraph.errors import TracingError


def doubled(x: Any) -> Any:
    y = x * 2.0
    return x if x > 10 else doubled(y)


def powered(x: Any, n: int) -> Any:
    return x if n == 0 else np.sin(powered(x, n - 1))


@pytest.mark.parametrize("call", [trace(doubled), trace(doubled).grad])
def test_a_recursion_that_a_traced_condition_would_end_is_refused_at_its_line(call: Any) -> None:
    with pytest.raises(TracingError, match="calls itself without end") as found:
        call(1.0)
    assert "doubled(y)" in str(found.value)
    assert "write a while loop" in str(found.value)


def test_a_recursion_over_a_static_number_is_written_out() -> None:
    f = trace(powered, static_argnums=1)
    np.testing.assert_allclose(f(0.3, 20), powered(0.3, 20), rtol=1e-14)
