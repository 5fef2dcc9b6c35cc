"""The error for a memory budget that no schedule meets: begin with `infeasible`.

It says what the plan of the least bytes holds at its fullest step. An array that takes the place of
another one counts once, arguments are not counted, and all the bytes named add up to the least.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from adgraph.analysis.liveness import roots, scratch_types
from adgraph.errors import BudgetError, message
from adgraph.ir.code import Control
from adgraph.ir.graph import Node, Value
from adgraph.schedule.buffers import Plan, slot_bytes
from adgraph.schedule.schedule import Compute, Free, Schedule

Place = tuple[int, int]  # the first byte in the arena, and the one behind the last


class _Moment(NamedTuple):
    """What the arena holds while a node runs: what it touches, and what others read later."""

    node: Node
    own_bytes: int
    later_bytes: int


def infeasible(schedule: Schedule, plan: Plan, budget: int, least: int) -> BudgetError:
    """Word the error for a budget in bytes: the schedule and its plan are those for the least."""
    moments = _moments(schedule, plan)
    fullest = max(moments, key=lambda moment: moment.own_bytes + moment.later_bytes)
    node = fullest.node
    smaller = "let the loop carry less" if _has_loop(node) else "split the line into smaller pieces"
    error = BudgetError(
        message(
            f"no schedule was found that computes this program in {budget} bytes; "
            f"the smallest budget found to work is {least} bytes",
            f"{_named(node)} needs most: {fullest.own_bytes} bytes of what it reads, writes and "
            f"works on, beside {fullest.later_bytes} that are read later and "
            f"{plan.output_bytes} of outputs of the program; arguments are not counted",
            f"give a budget of at least {least} bytes, or {smaller}",
            node.origin.location,
        )
    )
    error.least = least
    return error


def _named(node: Node) -> str:
    """Name a kernel; what one with loops gives is whatever they carry."""
    if _has_loop(node):
        return "the loop"
    name = next((region.name for region in node.regions()), node.op.name)
    return f"{name}, which gives {' and '.join(str(v.type) for v in node.outputs)},"


def _has_loop(node: Node) -> bool:
    inside = (inner for region in node.regions() for inner in region.nodes)
    return any(_is_loop(found) for found in (node, *inside))


def _is_loop(node: Node) -> bool:
    return isinstance(node.op.code, Control) and node.op.code.form != "branch"


def _moments(schedule: Schedule, plan: Plan) -> Iterator[_Moment]:
    """Walk over the steps with the places of the arrays that are there."""
    root = roots(schedule.graph)
    places: dict[Value, Place] = {}
    for step, offsets, scratch in zip(schedule.steps, plan.offsets, plan.scratch, strict=True):
        match step:
            case Compute(node):
                written = zip(node.outputs, offsets, strict=True)
                places |= {v: _place(at, v.type.nbytes) for v, at in written if at is not None}
                types = zip(scratch, scratch_types(node), strict=True)
                workspaces = [_place(at, type.nbytes) for at, type in types]
                touched = {root[v] for v in (*node.inputs, *node.outputs)}
                own = [place for v, place in places.items() if v in touched]
                own_bytes = _covered((*own, *workspaces))
                all_bytes = _covered((*places.values(), *workspaces))
                yield _Moment(node, own_bytes, all_bytes - own_bytes)
            case Free(value):
                places.pop(value, None)


def _place(offset: int, size: int) -> Place:
    return offset, offset + slot_bytes(size)


def _covered(places: Iterable[Place]) -> int:
    """Return the bytes of a union of places."""
    total = reached = 0
    for begin, end in sorted(places):
        total += max(end - max(begin, reached), 0)
        reached = max(reached, end)
    return total
