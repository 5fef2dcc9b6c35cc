"""The derivatives of `cond`: both branches are differentiated, the same one runs.

In reverse, what a branch can compute again it does; what is left (`residuals`) becomes results of
the branch, zeros in the other one. The adjoint is a `cond` of the same predicate: it takes the
running cotangents of the operands and returns them, so that arrays are updated in place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adgraph.analysis.activity import flagged, useful, varied
from adgraph.analysis.programs import branches
from adgraph.analysis.regions import level
from adgraph.control.batching import batch_cond
from adgraph.control.residuals import Joint, Residuals, Supply, choose, copy_typed, rebuild
from adgraph.control.tapes import blank
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.prune import prune
from adgraph.ir.types import ArrayType
from adgraph.ops.control import cond
from adgraph.tracing.frames import building
from adgraph.tracing.tracer import as_tracer, read, tracer
from adgraph.transforms.adjoint import Adjoint
from adgraph.transforms.jvp import jvp as jvp_graph
from adgraph.transforms.jvp import zero_tangent
from adgraph.transforms.regions import RULES, Arrays, Flags, Pull, Rules, Surroundings


def _run(predicate: Any, args: Sequence[Any], then: Graph, orelse: Graph) -> Arrays:
    results = cond(predicate, *args, then=then, orelse=orelse)
    return results if isinstance(results, tuple) else (results,)


# --- forward --------------------------------------------------------------------------------------


def _jvp(node: Node, seeds: Arrays, args: Arrays) -> tuple[Arrays, Arrays]:
    """Emit a branch that computes tangents, too."""
    predicate, *given = args
    active = [i for i, seed in enumerate(seeds[1:]) if seed is not None]
    moved = [jvp_graph(branch, active) for branch in branches(node)]
    count = len(node.outputs)
    moving = sorted({k for branch in branches(node) for k in _varied_outputs(branch, active)})
    then, orelse = (_with_outputs(g, [*range(count), *(count + k for k in moving)]) for g in moved)
    results = _run(predicate, [*given, *(seeds[1 + i] for i in active)], then, orelse)
    tangents = dict(zip(moving, results[count:], strict=True))
    return results[:count], tuple(tangents.get(k) for k in range(count))


def _varied_outputs(branch: Graph, active: Iterable[int]) -> list[int]:
    inside = varied(branch, [branch.inputs[i] for i in active])
    return [k for k, v in enumerate(branch.outputs) if v in inside]


def _with_outputs(graph: Graph, numbers: Iterable[int]) -> Graph:
    outputs = tuple(graph.outputs[i] for i in numbers)
    return prune(Graph(graph.inputs, graph.nodes, outputs, graph.name))


# --- reverse --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Branch:
    """One branch with its adjoint, and which slot holds each value that it records."""

    joint: Joint
    residuals: Residuals
    slots: tuple[int, ...]


@dataclass(frozen=True)
class _Active:
    """The operands whose cotangents are wanted, and the results that have any, by number."""

    operands: tuple[int, ...]
    results: tuple[int, ...]


def _linearize(
    node: Node, args: Arrays, varied_operands: Flags, wanted: Flags, around: Surroundings
) -> tuple[Arrays, Pull]:
    """Emit a branch that also returns what its adjoint needs."""
    active = _active(node, varied_operands[1:], wanted)
    joints = [_joint(node, branch, active, around) for branch in branches(node)]
    chosen = [choose(joint, store_all=around.store_all) for joint in joints]
    types, slots = _slots([[v.type for v in residuals.recorded] for residuals in chosen])
    both = tuple(map(_Branch, joints, chosen, slots))
    outcome = _run(args[0], args[1:], *(_forward(branch, types) for branch in both))
    results, kept = outcome[: len(node.outputs)], outcome[len(node.outputs) :]

    def pull(cts: Arrays, totals: Arrays) -> Arrays:
        seeds = [*(cts[k] for k in active.results), *(totals[1 + i] for i in active.operands)]
        given = [seed is not None for seed in seeds]
        outside = [*args[1:], *results, *kept]
        adjoints = (_backward(branch, [x.type for x in outside], given) for branch in both)
        begun = [seed for seed in seeds if seed is not None]
        pulled = _run(args[0], [*outside, *begun], *adjoints) if active.operands else ()
        found: list[Any] = [None] * len(args)
        for i, ct in zip(active.operands, pulled, strict=True):
            found[1 + i] = ct
        return tuple(found)

    return results, pull


def _or_zeros(ct: Any, value: Value) -> Any:
    return zero_tangent(value) if ct is None else ct


def _active(node: Node, moving: Flags, wanted: Flags) -> _Active:
    asked = [useful(branch, flagged(branch.outputs, wanted)) for branch in branches(node)]
    needed = [
        i
        for i, flag in enumerate(moving)
        if flag
        and any(b.inputs[i] in found for b, found in zip(branches(node), asked, strict=True))
    ]
    return _Active(tuple(needed), tuple(k for k, flag in enumerate(wanted) if flag))


def _joint(node: Node, branch: Graph, active: _Active, around: Surroundings) -> Joint:
    """Build the forward sweep and the reverse walk of a branch."""
    levels = (*around.levels, level(node, branch))
    outputs = [branch.outputs[k] for k in active.results]
    inputs = [branch.inputs[i] for i in active.operands]
    with building() as builder:
        env = {v: builder.input(v.type, v.name) for v in branch.inputs}
        adjoint = Adjoint(
            builder,
            branch,
            env,
            active=inputs,
            wanted=outputs,
            around=replace(around, levels=levels, seeded=around.seeded or len(outputs) != 1),
        )
        adjoint.sweep()
        for value in (*outputs, *inputs):
            adjoint.start(value, tracer(builder.input(value.type)))
        adjoint.walk()
        pulled = [read(as_tracer(_or_zeros(adjoint.cotangent(v), v))) for v in inputs]
        results = [*(env[v] for v in branch.outputs), *pulled]
        graph = prune(builder.build(results, f"{branch.name}_joint"))
    seeds = len(outputs) + len(inputs)
    return Joint(graph, len(branch.inputs), seeds, len(branch.outputs), env, levels)


def _slots(
    recorded: Sequence[Sequence[ArrayType]],
) -> tuple[list[ArrayType], list[tuple[int, ...]]]:
    """Share results between the branches: one for values of both that have the same type."""
    types: list[ArrayType] = []
    placed = []
    for listed in recorded:
        free = list(range(len(types)))
        slots = []
        for type in listed:
            fitting = [slot for slot in free if types[slot] == type]
            if fitting:
                free.remove(fitting[0])
            else:
                fitting = [len(types)]
                types.append(type)
            slots.append(fitting[0])
        placed.append(tuple(slots))
    return types, placed


def _forward(branch: _Branch, types: Sequence[ArrayType]) -> Graph:
    """Return a branch with what its adjoint needs among its results."""
    joint = branch.joint
    with building() as builder:
        env = {v: builder.input(v.type, v.name) for v in joint.primal}
        for early in branch.residuals.early:
            copy_typed(builder, early, env)
        held = dict(zip(branch.slots, branch.residuals.recorded, strict=True))
        kept = [
            env[held[slot]] if slot in held else read(blank(type))
            for slot, type in enumerate(types)
        ]
        outputs = [*(env[v] for v in joint.graph.outputs[: joint.results]), *kept]
        return prune(builder.build(outputs, joint.levels[-1].body.name))


def _backward(branch: _Branch, outside: Sequence[ArrayType], seeded: Sequence[bool]) -> Graph:
    """Return the adjoint of a branch: operands, results and what was recorded come first.

    A seed that is not given is zero. The branch makes it: there it disappears where a cotangent is
    added to it, and that one is then updated in place.
    """
    joint = branch.joint
    begins = {c.number: c.versions[0].value for c, _ in joint.levels[-1].chains.values()}
    count = len(joint.primal)
    with building() as builder:
        given = [builder.input(type) for type in outside]
        seeds = [
            builder.input(v.type) if present else read(blank(v.type))
            for v, present in zip(joint.graph.inputs[count:], seeded, strict=True)
        ]

        def kept(leaving: bool, number: int) -> Value:
            if leaving:
                return given[count + number]
            return given[joint.levels[-1].body.inputs.index(begins[number])]

        supply = Supply(
            given.__getitem__, kept, lambda i: given[count + joint.results + branch.slots[i]]
        )
        pulled = rebuild(builder, joint, branch.residuals, seeds, supply)
        return prune(builder.build(pulled, f"{joint.levels[-1].body.name}_adjoint"))


RULES[cond] = Rules(_jvp, _linearize, batch_cond)
