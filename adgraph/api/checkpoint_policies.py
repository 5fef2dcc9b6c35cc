"""What a checkpointed function keeps for its derivative: the policies of `adgraph.checkpoint`.

The names are JAX's. A policy is a function of an op's record, the types of its operands, and the
names that `adgraph.name` gave its result; it tells whether the result is saved. Any such function
will do: `lambda op, types, names: op.kind is Kind.LIBRARY`.
"""

from __future__ import annotations

from typing import NoReturn

from adgraph.errors import TracingError, message
from adgraph.ir.graph import Policy, nothing_saveable
from adgraph.ir.op import Op, Types

__all__ = [
    "checkpoint_dots",
    "checkpoint_dots_with_no_batch_dims",
    "dots_saveable",
    "dots_with_no_batch_dims_saveable",
    "everything_saveable",
    "nothing_saveable",
    "offload_dot_with_no_batch_dims",
    "save_and_offload_only_these_names",
    "save_any_names_but_these",
    "save_anything_except_these_names",
    "save_from_both_policies",
    "save_only_these_names",
]


def everything_saveable(op: Op, types: Types, names: frozenset[str]) -> bool:
    """Save everything, as if there were no checkpoint."""
    return True


def dots_saveable(op: Op, types: Types, names: frozenset[str]) -> bool:
    """Save the results of matrix products: dear to compute again, and small beside the rest."""
    return op.product


def dots_with_no_batch_dims_saveable(op: Op, types: Types, names: frozenset[str]) -> bool:
    """Save matrix products, but for those of two stacks of matrices."""
    return op.product and any(t.ndim <= 2 for t in types[-2:])


# JAX has these under two names.
checkpoint_dots = dots_saveable
checkpoint_dots_with_no_batch_dims = dots_with_no_batch_dims_saveable


def save_only_these_names(*names_which_can_be_saved: str) -> Policy:
    """Save what `adgraph.name` has given one of these names."""
    wanted = frozenset(names_which_can_be_saved)
    return lambda op, types, names: not names.isdisjoint(wanted)


def save_any_names_but_these(*names_not_to_save: str) -> Policy:
    """Save what `adgraph.name` has given a name that is not one of these."""
    unwanted = frozenset(names_not_to_save)
    return lambda op, types, names: bool(names - unwanted)


def save_anything_except_these_names(*names_not_to_save: str) -> Policy:
    """Save everything but what `adgraph.name` has given one of these names."""
    unwanted = frozenset(names_not_to_save)
    return lambda op, types, names: names.isdisjoint(unwanted)


def save_from_both_policies(policy_1: Policy, policy_2: Policy) -> Policy:
    """Save what one of two policies saves.

    >>> both = save_from_both_policies(dots_saveable, save_only_these_names("hidden"))
    """
    return lambda op, types, names: policy_1(op, types, names) or policy_2(op, types, names)


def offload_dot_with_no_batch_dims(offload_src: str, offload_dst: str) -> NoReturn:
    """Refuse: there is one memory."""
    raise _no_offloading("offload_dot_with_no_batch_dims", "dots_with_no_batch_dims_saveable")


def save_and_offload_only_these_names(
    *,
    names_which_can_be_saved: object,
    names_which_can_be_offloaded: object,
    offload_src: str,
    offload_dst: str,
) -> NoReturn:
    """Refuse: there is one memory."""
    raise _no_offloading("save_and_offload_only_these_names", "save_only_these_names(...)")


def _no_offloading(name: str, instead: str) -> TracingError:
    return TracingError(
        message(
            f"the policy {name} moves values to another memory, and there is none",
            "programs run on the CPU, where host memory is all the memory",
            f"save the values with checkpoint_policies.{instead}, or give memory_budget=",
        )
    )
