"""Marks on parts of a function: constants for derivatives, parts to compute again, names."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from adgraph.api.function import Function
from adgraph.errors import TracingError, message
from adgraph.ir.graph import Policy, Scope, nothing_saveable
from adgraph.ir.op import Op
from adgraph.ops.constant import named
from adgraph.ops.constant import stop_gradient as stop_gradient_op
from adgraph.tracing.frames import current, tracing
from adgraph.tracing.hooks import call
from adgraph.tracing.tracer import Tracer
from adgraph.tracing.tree import flatten, unflatten


def stop_gradient(x: Any) -> Any:
    """Return x (an array or a pytree) as a constant for derivatives.

    >>> from adgraph import grad
    >>> grad(lambda x: x * stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    return _marked(x, stop_gradient_op)


def name(x: Any, name: str) -> Any:
    """Return x (an array or a pytree) under a name for the policies of `checkpoint`.

    Nothing is computed. JAX calls it `checkpoint_name`, and so may you.

    >>> import numpy as np
    >>> from adgraph import checkpoint, checkpoint_policies, grad
    >>> @checkpoint(policy=checkpoint_policies.save_only_these_names("hidden"))
    ... def layer(w, x):
    ...     return np.sum(np.tanh(name(w @ x, "hidden")))
    >>> grad(layer)(np.zeros((2, 2)), np.ones(2))
    array([[1., 1.],
           [1., 1.]])
    """
    if not isinstance(name, str):
        raise TracingError(
            message(
                f"a name is a str, found {name!r} of type {type(name).__name__}",
                instead='write name(x, "hidden"): the array first, then its name',
            )
        )
    return _marked(x, named, tag=name)


checkpoint_name = name


def _marked(x: Any, op: Op, **attrs: Any) -> Any:
    leaves, structure = flatten(x)
    marked = [op(leaf, **attrs) if isinstance(leaf, Tracer) else leaf for leaf in leaves]
    return unflatten(structure, marked)


# What else `jax.checkpoint` takes, and why there is no such argument here.
REFUSED = {
    "prevent_cse": "a recomputation is a step of the schedule, and no pass merges it with anything",
    "static_argnums": "an argument that is no traced array is its plain Python value inside",
    "static_argnames": "an argument that is no traced array is its plain Python value inside",
    "concrete": "arguments that are no traced arrays are plain Python values inside",
}


def checkpoint(
    f: Callable[..., Any] | None = None, *, policy: Policy | None = None, **others: Any
) -> Any:
    """Mark a function whose intermediate values the backward pass computes again.

    What is made inside is not kept between the forward and the backward pass, unless the policy
    (one of `adgraph.checkpoint_policies`; None saves nothing) saves it. Results are the same up to
    rounding: a region is fused into kernels of its own. In a loop, every trip is computed again by
    itself, from what the loop carries. Checkpoints nest. Use it as a decorator, with options or
    without, or on a part: `checkpoint(layer)(w, x)`.

    >>> import numpy as np
    >>> from adgraph import grad
    >>> layer = checkpoint(lambda x: np.tanh(np.sin(x)))
    >>> grad(lambda x: layer(x))(0.0)
    np.float64(1.0)
    """
    for option in others:
        raise _refused(option)
    if f is None:
        return functools.partial(checkpoint, policy=policy)
    saved = nothing_saveable if policy is None else policy
    _check(f, saved)
    inner = f.function if isinstance(f, Function) else f

    # Not the module: by it, loops know that the function itself keeps no state.
    @functools.wraps(inner, assigned=("__name__", "__qualname__", "__doc__"))
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if not tracing():
            return f(*args, **kwargs)
        builder = current()
        before = builder.scope
        label = getattr(inner, "__name__", "f").strip("<>")
        builder.scope = Scope(f"{label}.{next(builder.scopes)}", saved, before)
        try:
            return call(inner, *args, **kwargs)
        finally:
            builder.scope = before

    return checkpointed


def _check(f: Any, policy: Any) -> None:
    for words, found in (("a function", f), ("as its policy a function", policy)):
        if not callable(found):
            raise TracingError(
                message(
                    f"checkpoint takes {words}, found {found!r}",
                    instead="write checkpoint(f), or checkpoint(policy=...) as a decorator; "
                    "policies are in adgraph.checkpoint_policies",
                )
            )


def _refused(option: str) -> TracingError:
    if option not in REFUSED:
        return TracingError(
            message(
                f"checkpoint has no argument {option!r}", instead="write checkpoint(f, policy=...)"
            )
        )
    return TracingError(
        message(f"checkpoint takes no {option}", REFUSED[option], "leave the argument out")
    )
