"""Folding, merging and removing nodes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from adgraph.errors import Location
from adgraph.ir.graph import Graph, Node, Origin, Value
from adgraph.ir.op import Kind, Op
from adgraph.ir.types import ArrayType
from adgraph.passes.cleanup import cse, dce, fold
from adgraph.tracing.tracer import as_tracer
from tests.strategies import graph_of

VECTOR = np.arange(4.0)


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def duplicated(graph: Graph, *, swapped: bool = False) -> Graph:
    """Repeat every node under new values; the outputs are those of both copies."""
    env: dict[Value, Value] = {}
    nodes = list(graph.nodes)
    for node in graph.nodes:
        operands = tuple(env.get(v, v) for v in node.inputs)
        copies = tuple(Value(v.type) for v in node.outputs)
        env.update(zip(node.outputs, copies, strict=True))
        inputs = operands[::-1] if swapped else operands
        nodes.append(replace(node, inputs=inputs, outputs=copies))
    return replace(
        graph, nodes=tuple(nodes), outputs=graph.outputs + tuple(env[v] for v in graph.outputs)
    )


def test_equal_nodes_are_merged() -> None:
    graph = graph_of(lambda x: np.sum(np.sin(x) * 2.0), VECTOR)
    hits: Counter[str] = Counter()
    after = cse(duplicated(graph), hits)
    assert names(after) == names(graph)
    assert after.outputs == (graph.outputs[0],) * 2
    assert hits["merged"] == len(graph.nodes)


def test_operands_of_a_commutative_op_may_change_places() -> None:
    product = graph_of(lambda x, y: x * y, VECTOR, VECTOR)
    difference = graph_of(lambda x, y: x - y, VECTOR, VECTOR)
    assert names(cse(duplicated(product, swapped=True))) == ["multiply"]
    assert names(cse(duplicated(difference, swapped=True))) == ["subtract", "subtract"]


def test_zeros_of_different_sign_are_different_constants() -> None:
    graph = graph_of(lambda x: (x + 0.0, x + -0.0), VECTOR)
    assert len(cse(graph).nodes) == 4


def test_what_no_output_needs_is_removed() -> None:
    def function(x: Any) -> Any:
        np.exp(x)
        return np.sin(x)

    hits: Counter[str] = Counter()
    assert names(dce(graph_of(function, VECTOR), hits)) == ["sin"]
    assert hits["dead"] == 1


def test_inputs_are_kept_even_if_nothing_reads_them() -> None:
    graph = dce(graph_of(lambda x, y: x, VECTOR, VECTOR))
    assert [v.name for v in graph.inputs] == ["x", "y"]


def test_constants_are_computed() -> None:
    def function(x: Any) -> Any:
        table = as_tracer(np.arange(100.0))
        return x * np.sum(np.square(table))

    graph = dce(fold(graph_of(function, VECTOR)))
    assert names(graph) == ["const", "multiply"]
    assert graph.nodes[0].attrs["value"].array == np.sum(np.arange(100.0) ** 2)


def test_folding_never_makes_the_program_hold_a_larger_array() -> None:
    def function(x: Any) -> Any:
        row = as_tracer(np.arange(50.0))
        return x + np.sum(row[:, None] * row, axis=0), np.broadcast_to(as_tracer(row), (50, 50))

    graph = fold(graph_of(function, np.ones(50)))
    assert max(c.array.size for c in graph.constants().values()) == 50
    assert "multiply" in names(graph)
    assert "broadcast" in names(graph)


def test_folding_keeps_the_dtype_and_the_line() -> None:
    graph = fold(graph_of(lambda x: x + np.sin(as_tracer(np.ones(100, "f4"))), np.ones(100, "f4")))
    folded = graph.nodes[-2]
    assert folded.op.kind is Kind.CONSTANT
    assert folded.output.type == ArrayType(np.dtype("f4"), (100,))
    assert folded.origin.location is not None
    assert folded.origin.location.file == __file__


def test_nothing_to_do_gives_the_same_graph() -> None:
    graph = graph_of(lambda x: np.sin(x) + x, VECTOR)
    for change in (fold, cse, dce):
        assert change(graph) is graph


def test_the_first_of_equal_nodes_keeps_its_line() -> None:
    graph = duplicated(graph_of(lambda x: np.sin(x), VECTOR))
    other = Origin(Location("other.py", 1))
    marked = replace(graph, nodes=(graph.nodes[0], replace(graph.nodes[1], origin=other)))
    (node,) = cse(marked).nodes
    assert node.origin == graph.nodes[0].origin


def region(body: Graph) -> Graph:
    """A graph with one node that holds a program."""
    call = Op(
        name="test_call",
        kind=Kind.REGION,
        evaluate=lambda *args, body: None,
        infer=lambda *types, body: tuple(v.type for v in body.outputs),
    )
    inputs = tuple(Value(v.type, v.name) for v in body.inputs)
    outputs = tuple(Value(v.type) for v in body.outputs)
    return Graph(inputs, (Node(call, inputs, outputs, {"body": body}),), outputs)


def test_programs_inside_nodes_are_cleaned_too() -> None:
    body = duplicated(graph_of(lambda x: np.sin(x), VECTOR))
    outer = region(body)
    (node,) = dce(cse(outer)).nodes
    assert len(node.attrs["body"].nodes) == 1
    assert node.outputs == outer.nodes[0].outputs
