"""The derivatives of loops: `loop`, `counted` and `while`.

Forward, a loop carries tangents beside what it carries. In reverse, the loop is emitted with tapes
of what its adjoint needs and cannot have otherwise (`residuals`), and the adjoint is a loop over
the same index, backwards: it carries cotangents of what the loop carries and running cotangents of
its constants, each updated in place. A `while` counts its trips, and its adjoint makes as many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adgraph.analysis.activity import flagged, useful, useful_carries, varied_carries
from adgraph.analysis.programs import LEADING, constants, is_loop, most_trips, operands
from adgraph.analysis.regions import level
from adgraph.control.batching import batch_loop
from adgraph.control.residuals import (
    Joint,
    Residuals,
    Supply,
    choose,
    copy_typed,
    rebuild,
)
from adgraph.control.tapes import (
    TAPE,
    blank,
    check_bounded,
    deepened,
    row_index,
    rows,
    tape_type,
    trip,
    zeros,
)
from adgraph.ir.builder import Builder
from adgraph.ir.dims import Dim, symbol_dim
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.prune import prune
from adgraph.ir.substitute import substitute_all
from adgraph.ir.types import ArrayType
from adgraph.ops.control import counted, index, loop, loop_symbol, while_
from adgraph.ops.kinds import add_tangents
from adgraph.ops.shape import getitem, update
from adgraph.tracing.frames import building, current
from adgraph.tracing.tracer import as_tracer, read, tracer
from adgraph.transforms.adjoint import Adjoint
from adgraph.transforms.jvp import jvp as jvp_graph
from adgraph.transforms.jvp import zero_tangent
from adgraph.transforms.regions import RULES, Arrays, Flags, Pull, Rules, Surroundings

COUNT = ArrayType(np.dtype(np.int64), ())


def _run(node: Node, args: Sequence[Any], **changes: Any) -> Arrays:
    """Emit a loop with other operands and attributes."""
    results = node.op(*args, **{**node.attrs, **changes})
    return results if isinstance(results, tuple) else (results,)


def _programs(node: Node, body: Graph, positions: Sequence[int | None]) -> dict[str, Graph]:
    """Return the programs of a loop with a new body.

    `positions` tells for every input of the body which one of the old body it is, if any; a test
    does not read the others.
    """
    if "test" not in node.attrs:
        return {"body": body}
    test: Graph = node.attrs["test"]
    inputs = tuple(
        Value(v.type) if i is None else test.inputs[i]
        for i, v in zip(positions, body.inputs, strict=True)
    )
    return {"body": body, "test": replace(test, inputs=inputs)}


# --- forward --------------------------------------------------------------------------------------


def _jvp(node: Node, seeds: Arrays, args: Arrays) -> tuple[Arrays, Arrays]:
    """Emit a loop that carries tangents."""
    lead, first = LEADING[node.op], constants(node)
    body: Graph = node.attrs["body"]
    count = len(body.inputs)
    flags = varied_carries(node, [seed is not None for seed in seeds[lead:]])
    active = [i for i, flag in enumerate(flags) if flag]
    moved = jvp_graph(body, active)
    tangent = {i: count + at for at, i in enumerate(active)}
    fixed = [*range(first), *(tangent[i] for i in active if i < first)]
    carried = [*range(first, count), *(tangent[i] for i in active if i >= first)]
    kept = [i - first for i in active if i >= first]
    results = len(body.outputs)
    inside = Graph(
        tuple(moved.inputs[i] for i in (*fixed, *carried)),
        moved.nodes,
        (*moved.outputs[:results], *(moved.outputs[results + k] for k in kept)),
        moved.name,
    )
    positions = [i if i < count else None for i in (*fixed, *carried)]
    given = [*args[lead:], *(_seed(seeds[lead + i], body.inputs[i]) for i in active)]
    outputs = _run(
        node,
        (*args[:lead], *(given[i] for i in (*fixed, *carried))),
        **_programs(node, prune(inside), positions),
        constants=len(fixed),
    )
    tangents = dict(zip(kept, outputs[results:], strict=True))
    return outputs[:results], tuple(tangents.get(k) for k in range(results))


def _seed(seed: Any, value: Value) -> Any:
    return zero_tangent(value) if seed is None else seed


# --- reverse --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Active:
    """What the adjoint of a loop carries: cotangents of carries, and of constants, by number."""

    carries: tuple[int, ...]
    constants: tuple[int, ...]
    varied: tuple[int, ...]  # the inputs of the body that are varied


@dataclass(frozen=True)
class _Recorded:
    """A loop that has been emitted with its tapes, and the number of its trips if it counts."""

    node: Node
    args: Arrays
    results: Arrays
    tapes: Arrays
    trips: Any


def _linearize(
    node: Node, args: Arrays, varied: Flags, wanted: Flags, around: Surroundings
) -> tuple[Arrays, Pull]:
    """Emit a loop with its tapes; return its results, and the pull that emits its adjoint."""
    node = _normal(node)
    lead = LEADING[node.op]
    active = _active(node, varied[lead:], wanted)
    joint = _joint(node, active, around)
    residuals = choose(joint, store_all=around.store_all)
    if residuals.recorded and node.op is loop and most_trips(node) is None:
        return _linearize_counted(node, args, varied, wanted, around)
    recorded = _forward(node, args, joint, residuals)

    def pull(cts: Arrays, totals: Arrays) -> Arrays:
        pulled = _backward(recorded, joint, residuals, active, cts, totals[lead:])
        carries, fixed = pulled[: len(active.carries)], pulled[len(active.carries) :]
        found: list[Any] = [None] * len(args)
        for i, ct in zip(active.constants, fixed, strict=True):
            found[lead + i] = ct
        for k, ct in zip(active.carries, carries, strict=True):
            at = lead + constants(node) + k
            found[at] = add_tangents(totals[at], ct) if varied[at] else None
        return tuple(found)

    return recorded.results, pull


def _linearize_counted(
    node: Node, args: Arrays, varied: Flags, wanted: Flags, around: Surroundings
) -> tuple[Arrays, Pull]:
    """Linearize a loop whose trips an index of unknown bounds counts: only running can check them.

    Its tape has a capacity, as that of any loop whose length is not known.
    """
    (trips,) = current().emit(index, [], {"dim": node.attrs["trips"]})
    attrs = {"constants": constants(node), "reverse": False, "capacity": None}
    symbol = loop_symbol(node.attrs["symbol"].name, 0, node.attrs["trips"], 1)
    position = node.attrs["start"] + symbol_dim(symbol) * node.attrs["step"]
    body = substitute_all(node.attrs["body"], {node.attrs["symbol"]: position})
    same = replace(
        node,
        op=counted,
        inputs=(trips, *node.inputs),
        attrs={**attrs, "body": body, "symbol": symbol},
    )
    results, pull = _linearize(same, (tracer(trips), *args), (False, *varied), wanted, around)
    return results, lambda cts, totals: pull(cts, (None, *totals))[1:]


def _normal(node: Node) -> Node:
    """Return a loop whose step is 1 or -1: the number of the trip is then affine in its index."""
    if node.op is not loop or abs(node.attrs["step"]) == 1:
        return node
    attrs = node.attrs
    symbol = loop_symbol(attrs["symbol"].name, 0, attrs["trips"], 1)
    position = attrs["start"] + symbol_dim(symbol) * attrs["step"]
    body = substitute_all(attrs["body"], {attrs["symbol"]: position})
    return replace(node, attrs={**attrs, "body": body, "symbol": symbol, "start": 0, "step": 1})


def _active(node: Node, varied: Flags, wanted: Flags) -> _Active:
    body: Graph = node.attrs["body"]
    first = constants(node)
    moving = varied_carries(node, list(varied))
    asked = useful_carries(node, list(wanted))
    inside = useful(body, flagged(body.outputs, asked))
    return _Active(
        tuple(k for k, ask in enumerate(asked) if ask and moving[first + k]),
        tuple(i for i in range(first) if moving[i] and body.inputs[i] in inside),
        tuple(i for i, flag in enumerate(moving) if flag),
    )


def _joint(node: Node, active: _Active, around: Surroundings) -> Joint:
    """Build the forward sweep and the reverse walk of a loop's body."""
    body: Graph = node.attrs["body"]
    first = constants(node)
    levels = (*around.levels, level(node, body))
    with building() as builder:
        env = {v: builder.input(v.type, v.name) for v in body.inputs}
        outputs = [body.outputs[k] for k in active.carries]
        adjoint = Adjoint(
            builder,
            body,
            env,
            active=[body.inputs[i] for i in active.varied],
            wanted=outputs,
            around=replace(around, levels=levels, seeded=around.seeded or len(outputs) != 1),
        )
        adjoint.sweep()
        inputs = [body.inputs[first + k] for k in active.carries]
        inputs += [body.inputs[i] for i in active.constants]
        seeds = [tracer(builder.input(v.type)) for v in inputs]
        for value, seed in zip(outputs, seeds, strict=False):
            adjoint.start(value, seed)
        for value, total in zip(inputs[len(outputs) :], seeds[len(outputs) :], strict=True):
            adjoint.start(value, total)
        adjoint.walk()
        pulled = [_seed(adjoint.cotangent(v), v) for v in inputs]
        results = [env[v] for v in body.outputs] + [read(as_tracer(ct)) for ct in pulled]
        graph = prune(builder.build(results, f"{body.name}_joint"))
    return Joint(graph, first, len(seeds), len(body.outputs), env, levels)


def _forward(node: Node, args: Arrays, joint: Joint, residuals: Residuals) -> _Recorded:
    """Emit the loop with its tapes."""
    counting = node.op is while_
    for value in residuals.recorded:
        check_bounded(node, value)
    inside = any(is_loop(around.node) for around in joint.levels[:-1])
    count = rows(node, residuals.recorded, inside=inside)
    types = [tape_type(v, count) for v in residuals.recorded]
    with building() as builder:
        env = {v: builder.input(v.type, v.name) for v in joint.primal}
        tapes = [builder.input(type, TAPE) for type in types]
        written = dict(zip(residuals.recorded, tapes, strict=True))
        blanks = zeros(residuals.early)
        shared = {v for early in residuals.early for v in early.inputs} | set(joint.graph.outputs)
        for early in residuals.early:
            inner = {v: written[v] for v in early.outputs if v in written and v not in shared}
            written |= _emit_early(builder, early, env, inner, trip(node), blanks)
        outputs = [env[v] for v in joint.graph.outputs[: joint.results]]
        for value, tape in zip(residuals.recorded, tapes, strict=True):
            if written[value] is tape:
                attrs = {"index": row_index(node, value)}
                outputs.extend(builder.emit(update, [tape, env[value]], attrs, types=(tape.type,)))
            else:
                outputs.append(written[value])
        if counting:
            builder.input(COUNT, "trips")
            outputs.extend(builder.emit(index, [], {"dim": _next_trip(node)}))
        body = prune(builder.build(outputs, node.attrs["body"].name))
    empty = tuple(map(blank, types))
    begin = (as_tracer(np.zeros((), np.int64)),) if counting else ()
    positions: list[int | None] = [*range(len(joint.primal))]
    positions += [None] * (len(types) + counting)
    changes: dict[str, Any] = dict(_programs(node, body, positions))
    if types and node.op is not loop:
        changes["capacity"] = count
    outcome = _run(node, (*args, *empty, *begin), **changes)
    last = joint.results + len(types)
    trips = outcome[last] if counting else None
    run = replace(node, attrs={**node.attrs, **changes})
    return _Recorded(run, args, outcome[: joint.results], outcome[joint.results : last], trips)


def _emit_early(
    builder: Builder,
    node: Node,
    env: dict[Value, Value],
    tapes: dict[Value, Value],
    trip: Dim,
    blanks: set[Value],
) -> dict[Value, Value]:
    """Emit a node of the forward sweep; an inner loop writes its tapes into those given.

    Return the tapes after it.
    """
    changed = node
    for number, value in enumerate(node.outputs):
        if value in tapes:
            changed = deepened(changed, number, tapes[value], trip, blanks) or changed
    inside = {**env, **{tape: tape for tape in tapes.values()}}
    copy_typed(builder, changed, inside)
    pairs = list(zip(node.outputs, changed.outputs, strict=True))
    env.update((old, inside[new]) for old, new in pairs if new is old)
    return {old: inside[new] for old, new in pairs if new is not old}


def _next_trip(node: Node) -> Dim:
    return symbol_dim(node.attrs["symbol"]) + 1


def _backward(
    recorded: _Recorded,
    joint: Joint,
    residuals: Residuals,
    active: _Active,
    cts: Arrays,
    totals: Arrays,
) -> Arrays:
    """Emit the adjoint loop; return the cotangents of the active carries, then constants."""
    node = recorded.node
    starts = [_seed(cts[k], node.outputs[k]) for k in active.carries]
    starts += [_seed(totals[i], operands(node)[i]) for i in active.constants]
    with building() as builder:
        seeds = [builder.input(v.type) for v in joint.graph.inputs[len(joint.primal) :]]
        outside = _Outside(builder, recorded, residuals)
        pulled = rebuild(builder, joint, residuals, seeds, outside.supply())
        graph = builder.build(pulled, f"{node.attrs['body'].name}_adjoint")
    body = prune(replace(graph, inputs=(*graph.inputs[len(seeds) :], *seeds)))
    return _run_back(recorded, body, outside.operands, starts)


class _Outside:
    """The constants of an adjoint loop, made inputs of its body as it asks for them."""

    def __init__(self, builder: Builder, recorded: _Recorded, residuals: Residuals) -> None:
        self._builder = builder
        self._recorded = recorded
        self._residuals = residuals
        self._inputs: dict[Any, Value] = {}
        self.operands: list[Any] = []

    def supply(self) -> Supply:
        """Return where the reverse walk gets its values."""
        return Supply(self._same, self._kept, self._row)

    def _input(self, key: Any, array: Any) -> Value:
        if key not in self._inputs:
            self._inputs[key] = self._builder.input(array.type)
            self.operands.append(array)
        return self._inputs[key]

    def _same(self, number: int) -> Value:
        node = self._recorded.node
        return self._input(("same", number), self._recorded.args[LEADING[node.op] + number])

    def _kept(self, leaving: bool, number: int) -> Value:
        node = self._recorded.node
        if leaving:
            return self._input(("leaving", number), self._recorded.results[number])
        at = LEADING[node.op] + constants(node) + number
        return self._input(("entering", number), self._recorded.args[at])

    def _row(self, number: int) -> Value:
        tape = self._input(("row", number), self._recorded.tapes[number])
        attrs = {"index": row_index(self._recorded.node, self._residuals.recorded[number])}
        (row,) = self._builder.emit(getitem, [tape], attrs)
        return row


def _run_back(
    recorded: _Recorded, body: Graph, fixed: Sequence[Any], starts: Sequence[Any]
) -> Arrays:
    """Emit the loop over the same index, backwards."""
    node = recorded.node
    attrs = node.attrs
    changes: dict[str, Any] = {"body": body, "constants": len(fixed)}
    operator: Callable[..., Any] = node.op
    lead: Arrays = recorded.args[: LEADING[node.op]]
    if node.op is loop:
        last = attrs["start"] + (attrs["trips"] - 1) * attrs["step"]
        changes |= {"start": last, "step": -attrs["step"]}
        changes |= {"trips": attrs["trips"], "symbol": attrs["symbol"]}
    else:
        operator = counted
        reverse = node.op is while_ or not attrs["reverse"]
        changes |= {"reverse": reverse, "capacity": attrs["capacity"], "symbol": attrs["symbol"]}
        if node.op is while_:
            lead = (recorded.trips,)
    results = operator(*lead, *fixed, *starts, **changes)
    return results if isinstance(results, tuple) else (results,)


for _op in (loop, counted, while_):
    RULES[_op] = Rules(_jvp, _linearize, batch_loop)
