"""The IR: text, fingerprint, type-checker, interpreter, networkx."""

from __future__ import annotations

from dataclasses import replace

import networkx
import numpy as np
import pytest

from adgraph.api import trace
from adgraph.errors import GraphError
from adgraph.ir.builder import Builder
from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph, Node, Value
from adgraph.ir.networkx import to_networkx
from adgraph.ir.parse import parse
from adgraph.ir.show import show
from adgraph.ir.types import ArrayType, Constant, Slice
from adgraph.ir.verify import verify
from adgraph.ops.elementwise import add, multiply
from adgraph.passes.fuse import fuse

X = np.linspace(0.0, 1.0, 6)
TABLE = np.arange(60.0).reshape(6, 10)


def energy(x, k):  # type: ignore[no-untyped-def]
    r = x[1:] - x[:-1]
    return 0.5 * np.sum(k * r**2), np.max(x) > np.inf, np.sum(x @ TABLE)


def graph() -> Graph:
    return trace(energy).graph(X, 2.0)


def test_text_reads_back_to_the_same_text() -> None:
    text = show(graph())
    assert show(parse(text, graph().constants())) == text


def test_text_with_data_stands_alone() -> None:
    text = show(graph(), data=True)
    read = parse(text)
    assert show(read, data=True) == text
    for found, expected in zip(evaluate(read, X, 2.0), energy(X, 2.0), strict=True):
        np.testing.assert_allclose(found, expected)


def test_a_text_without_its_arrays_says_what_to_pass() -> None:
    with pytest.raises(GraphError, match=r"graph\.constants"):
        parse(show(graph()))


def test_regions_read_back_to_the_same_text() -> None:
    kernels = fuse(graph())
    assert any(True for node in kernels.nodes for _ in node.regions())
    text = show(kernels)
    assert show(parse(text, kernels.constants())) == text
    assert parse(text, kernels.constants()) == kernels


@pytest.mark.parametrize(
    "text",
    [
        "",
        "graph @f() -> () {",
        "nonsense",
        "graph @f(%x: f64[]) -> (f64[]) {\n  what\n  return %x\n}",
    ],
)
def test_a_broken_text_is_refused(text: str) -> None:
    with pytest.raises(GraphError):
        parse(text)


def test_the_fingerprint_ignores_names_and_lines_and_nothing_else() -> None:
    def other(position, stiffness):  # type: ignore[no-untyped-def]
        r = position[1:] - position[:-1]
        return 0.5 * np.sum(stiffness * r**2), np.max(position) > np.inf, np.sum(position @ TABLE)

    def different(x, k):  # type: ignore[no-untyped-def]
        r = x[1:] - x[:-1]
        return 0.25 * np.sum(k * r**2), np.max(x) > np.inf, np.sum(x @ TABLE)

    same = trace(other).graph(X, 2.0)
    assert same.fingerprint == graph().fingerprint
    assert show(same) != show(graph())
    assert trace(different).graph(X, 2.0).fingerprint != graph().fingerprint
    assert trace(energy).graph(X.astype(np.float32), 2.0).fingerprint != graph().fingerprint


def test_equal_expressions_are_one_value() -> None:
    builder = Builder()
    x = builder.input(ArrayType(np.dtype(float), (3,)))
    first = builder.emit(add, (x, x), {})
    assert builder.emit(add, (x, x), {}) == first
    assert builder.emit(multiply, (x, x), {}) != first
    assert len(builder.build(first).nodes) == 2


def test_verify_passes_a_valid_graph_through() -> None:
    valid = graph()
    assert verify(valid) is valid


def _broken(change: str) -> Graph:
    valid = graph()
    nodes = list(valid.nodes)
    at = next(i for i, n in enumerate(nodes) if n.op.name == "subtract")
    node = nodes[at]
    if change == "type":
        wrong = Value(ArrayType(np.dtype(float), (99,)))
        nodes[at] = replace(node, outputs=(wrong,))
    elif change == "scope":
        nodes.insert(0, nodes.pop(at))
    elif change == "twice":
        nodes.insert(at, node)
    elif change == "operands":
        nodes[at] = replace(node, inputs=(node.inputs[0], valid.inputs[0]))
    return Graph(valid.inputs, tuple(nodes), valid.outputs, valid.name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("type", r"declares f64\[99\], its rule says f64\[5\]"),
        ("scope", "before it is defined"),
        ("twice", "a second time"),
        ("operands", "do not broadcast"),
    ],
)
def test_verify_names_the_users_line_and_shows_the_nodes_around(change: str, words: str) -> None:
    with pytest.raises(GraphError, match=words) as caught:
        verify(_broken(change))
    text = str(caught.value)
    assert "r = x[1:] - x[:-1]" in text
    assert "test_graph.py" in text
    assert "\n  > " in text


def test_verify_checks_regions_and_outputs() -> None:
    kernels = fuse(graph())
    at = next(i for i, n in enumerate(kernels.nodes) if tuple(n.regions()))
    node = kernels.nodes[at]
    body = node.attrs["body"]
    broken = replace(node, attrs={"body": replace(body, nodes=body.nodes[1:])})
    nodes = (*kernels.nodes[:at], broken, *kernels.nodes[at + 1 :])
    with pytest.raises(GraphError):
        verify(replace(kernels, nodes=nodes))
    with pytest.raises(GraphError, match="does not define"):
        verify(replace(kernels, outputs=(Value(ArrayType(np.dtype(float), ())),)))


def test_evaluate_counts_its_arguments() -> None:
    with pytest.raises(GraphError, match="2 inputs, got 1"):
        evaluate(graph(), X)


def test_networkx_has_the_nodes_and_edges_of_the_graph() -> None:
    program = graph()
    found = to_networkx(program)
    assert networkx.is_directed_acyclic_graph(found)
    assert found.number_of_nodes() == len(program.inputs) + len(program.nodes)
    assert [found.nodes[i]["op"] for i in range(len(program.nodes))] == [
        node.op.name for node in program.nodes
    ]
    edges = {(a, b) for a, b in found.edges}
    assert (-1, 0) in edges
    assert all(a < b for a, b in edges)
    assert found.nodes[-1]["type"] == "f64[6]"


def test_constants_compare_by_content() -> None:
    assert Constant.of([1.0, 2.0]) == Constant.of(np.array([1.0, 2.0]))
    assert Constant.of([0.0]) != Constant.of([-0.0])
    assert Constant.of([1]) != Constant.of([1.0])


@pytest.mark.parametrize("index", [slice(None), slice(4, None, -2), slice(-2, 9), slice(3, 1)])
def test_a_slice_normalises_and_comes_back(index: slice) -> None:
    array = np.arange(7)
    normal = Slice.of(index, 7)
    np.testing.assert_array_equal(array[normal.native()], array[index])
    assert normal.size == len(array[index])


def test_a_node_is_immutable() -> None:
    node = graph().nodes[0]
    assert isinstance(node, Node)
    with pytest.raises(AttributeError):
        node.op = add  # type: ignore[misc]
