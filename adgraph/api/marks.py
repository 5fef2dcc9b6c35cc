"""Marks on parts of a function: constants for derivatives, and parts to compute again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from adgraph.api.function import Function
from adgraph.ops.constant import stop_gradient as stop_gradient_op
from adgraph.tracing.frames import current, tracing
from adgraph.tracing.hooks import rewritten
from adgraph.tracing.tracer import Tracer
from adgraph.tracing.tree import flatten, unflatten


def stop_gradient(x: Any) -> Any:
    """Return x (an array or a pytree) as a constant for derivatives.

    >>> from adgraph import grad
    >>> grad(lambda x: x * stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    leaves, structure = flatten(x)
    stopped = [stop_gradient_op(leaf) if isinstance(leaf, Tracer) else leaf for leaf in leaves]
    return unflatten(structure, stopped)


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function whose intermediate values the backward pass computes again.

    Nothing made inside is kept between the forward and the backward pass. Results are the same up
    to rounding: a region is fused into kernels of its own. Use it as a decorator or on a part:
    `checkpoint(layer)(w, x)`.

    >>> import numpy as np
    >>> from adgraph import grad
    >>> layer = checkpoint(lambda x: np.tanh(np.sin(x)))
    >>> grad(lambda x: layer(x))(0.0)
    np.float64(1.0)
    """
    inner = f.function if isinstance(f, Function) else f

    @functools.wraps(inner)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if not tracing():
            return f(*args, **kwargs)
        builder = current()
        before = builder.scope
        name = getattr(inner, "__name__", "f").strip("<>")
        scope = f"{name}.{next(builder.scopes)}"
        builder.scope = f"{before}/{scope}" if before else scope
        try:
            return rewritten(inner, (*args, *kwargs.values()))(*args, **kwargs)
        finally:
            builder.scope = before

    return checkpointed
