"""Pictures of graphs: true to the graph, readable when large, and nothing left behind."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import graphviz
import graphviz.backend.dot_command
import numpy as np
import pytest

from adgraph import checkpoint, dot, picture, trace
from adgraph.chart import show_bytes
from adgraph.draw import draw
from adgraph.errors import AdgraphError
from adgraph.grouping import Box, group, kernel_body
from adgraph.ir.graph import Graph
from adgraph.ir.op import Kind
from adgraph.ir.parse import parse
from adgraph.looks import LOOKS
from adgraph.sheet import MOST_RUNS

X = np.linspace(0.1, 1.0, 7)
GREEN = LOOKS["residual"].line


@trace
def energy(x: Any, k: Any) -> Any:
    r = x[1:] - x[:-1]
    return 0.5 * np.sum(k * np.exp(r))


@trace
def chain(x: Any) -> Any:
    for _ in [None] * 60:  # written out, unlike a loop over a range
        u = np.sin(x) + 0.1
        v = np.exp(-u) * x[::-1]
        x = v / (1.0 + v * v)
    return np.sum(x)


def gradient() -> Graph:
    return energy.grad.graph(X, 2.0)


def boxes(source: str) -> list[str]:
    """The names of the drawn nodes."""
    return re.findall(r"^\s*(\w+) \[", source, re.MULTILINE)


def edges(source: str) -> list[tuple[str, str, str]]:
    """The edges: start, end, attributes."""
    return re.findall(r"^\s*(\w+) -> (\w+) \[(.*)\]", source, re.MULTILINE)


def test_every_node_input_and_output_is_drawn() -> None:
    graph = energy.graph(X, 2.0)
    source = draw(graph).source
    for node in graph.nodes:
        assert node.op.name in source or node.op.kind is Kind.CONSTANT
    assert source.count("shape=ellipse") == len(graph.inputs) + len(graph.outputs)


def test_a_graph_draws_itself_as_a_graphviz_object() -> None:
    picture = draw(gradient())
    assert isinstance(picture, graphviz.Digraph)
    assert picture._repr_svg_().startswith("<?xml")
    assert set(picture._repr_mimebundle_()) == {"image/svg+xml"}


def test_hovering_shows_the_line_and_its_text() -> None:
    svg = draw(gradient()).svg()
    titles = [html.unescape(t) for t in re.findall(r'xlink:title="([^"]*)"', svg)]
    assert any("test_draw.py:" in t and "r = x[1:] - x[:-1]" in t for t in titles)
    assert any("kept for the backward program" in t for t in titles)


def test_text_of_the_user_cannot_break_the_picture() -> None:
    @trace
    def odd(x: Any) -> Any:
        return x * len('<b>"\\n&{|}')

    assert "</svg>" in draw(odd.graph(X), title='<i> & "title"').svg()


def test_residuals_are_the_edges_from_forward_to_backward() -> None:
    source = draw(gradient()).source
    looks = dict(re.findall(r'^\s*(n\d+) \[.*color="(#\w+)" fillcolor', source, re.MULTILINE))
    forward, backward = LOOKS["forward"].line, LOOKS["backward"].line
    crossing = [(a, b) for a, b, how in edges(source) if GREEN in how]
    expected = [
        (a, b) for a, b, _ in edges(source) if looks.get(a) == forward and looks.get(b) == backward
    ]
    assert crossing == expected != []


def test_a_primal_program_has_no_backward_in_its_legend() -> None:
    source = draw(energy.graph(X, 2.0)).source
    assert LOOKS["forward"].words in source
    assert LOOKS["backward"].words not in source
    assert GREEN not in source


def bodies(graph: Graph) -> list[Graph]:
    """The programs of all kernels, those inside kernels as well."""
    found = [body for node in graph.nodes if (body := kernel_body(node)) is not None]
    return [*found, *(inner for body in found for inner in bodies(body))]


def test_a_fused_kernel_is_a_frame_around_its_ops() -> None:
    graph = energy.grad.kernels(X, 2.0)
    source = draw(graph).source
    assert bodies(graph)
    assert source.count("subgraph cluster_") == len(bodies(graph))
    every = [n for g in (graph, *bodies(graph)) for n in g.nodes if kernel_body(n) is None]
    drawn = [name for name in boxes(source) if re.fullmatch(r"n\d+", name)]
    assert len(drawn) == sum(1 for n in every if n.op.kind is not Kind.CONSTANT)


def test_kernels_that_share_a_body_are_drawn_apart() -> None:
    graph = energy.kernels(X, 2.0)
    node = next(n for n in graph.nodes if kernel_body(n) is not None)
    outputs = tuple(type(v)(v.type) for v in node.outputs)
    twin = type(node)(node.op, node.inputs, outputs, node.attrs, node.origin)
    both = Graph(graph.inputs, (*graph.nodes, twin), (*graph.outputs, *outputs), "twins")
    source = draw(both).source
    into = [(start, end) for start, end, _ in edges(source) if end.startswith("out")]
    assert len({start for start, _ in into}) == len(both.outputs)


def test_a_checkpointed_part_has_a_dashed_frame() -> None:
    @trace
    def f(x: Any) -> Any:
        return np.sum(checkpoint(np.tanh)(x) * x)

    source = draw(f.grad.graph(X)).source
    assert "dashed" in source
    assert LOOKS["scope"].words in source


def test_a_large_graph_is_drawn_by_lines_of_the_program() -> None:
    graph = chain.grad.graph(X)
    assert len(graph.nodes) > 500
    source = draw(graph).source
    assert len(boxes(source)) <= MOST_RUNS
    assert "u = np.sin(x) + 0.1" in source
    assert "test_draw.py:" in source
    assert "</svg>" in draw(graph).svg()


def test_no_edge_between_boxes_goes_back() -> None:
    for graph in (chain.grad.graph(X), chain.grad.kernels(X)):
        found = group(graph.nodes, MOST_RUNS)
        box_of = {v: box for box in found for node in box.nodes for v in node.outputs}
        waiting = {box: _sources(box, box_of) for box in found}
        while waiting:
            ready = [box for box, sources in waiting.items() if not sources & waiting.keys()]
            assert ready
            for box in ready:
                del waiting[box]


def _sources(box: Box, box_of: dict[Any, Box]) -> set[Box]:
    return {box_of[v] for node in box.nodes for v in node.inputs if v in box_of} - {box}


def test_collapse_can_be_chosen() -> None:
    graph = gradient()
    assert len(boxes(draw(graph, collapse=True).source)) < len(boxes(draw(graph).source))


def test_an_empty_graph_and_a_constant_result_are_drawn() -> None:
    @trace
    def constants(x: Any) -> Any:
        return x, 3.0, np.zeros(50)

    assert "</svg>" in draw(Graph((), (), ())).svg()
    for collapse in (False, True):
        assert "</svg>" in draw(constants.graph(X), collapse=collapse).svg()


@pytest.mark.parametrize("name", ["graph.svg", "graph.png", "graph.dot", "deep/er/graph.SVG"])
def test_save_writes_the_file_and_nothing_else(name: str, in_empty_folder: Path) -> None:
    assert draw(gradient()).save(name) == name
    files = [str(p) for p in Path().rglob("*") if p.is_file()]
    assert files == [name]
    start = {"svg": b"<?xml", "png": b"\x89PNG", "dot": b"digraph"}[name[-3:].lower()]
    assert Path(name).read_bytes().startswith(start)


def test_an_unknown_format_names_those_that_work(in_empty_folder: Path) -> None:
    with pytest.raises(AdgraphError, match=r"instead: save as \.svg, \.png or \.dot"):
        draw(gradient()).save("graph.xyz")
    assert list(in_empty_folder.iterdir()) == []


def test_without_any_dot_text_works_and_svg_says_what_to_install(
    in_empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dot.shutil, "which", lambda name: None)
    monkeypatch.setattr(dot, "_pure_candidates", list)
    picture = draw(gradient())
    assert picture.source.startswith("digraph")
    picture.save("graph.dot")
    with pytest.raises(AdgraphError, match="pip install graphviz-pure"):
        picture.svg()


def test_graphviz_pure_is_found_where_dot_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dot.shutil, "which", lambda name: None)
    monkeypatch.setattr(graphviz.backend.dot_command, "DOT_BINARY", Path("dot"))
    found = picture.point_graphviz_at_dot()
    assert found.path.stem == "graphviz-pure"
    assert found.path == graphviz.backend.dot_command.DOT_BINARY


def test_a_system_dot_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = dot.find_dot()
    assert found is not None
    assert found.path == program


# --- bytes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (2.5e9, "2.5 GB"), (3e13, "30 TB")],
)
def test_bytes_are_worded_in_decimal_units(count: float, words: str) -> None:
    assert show_bytes(count) == words


# --- loops and branches --------------------------------------------------------------------------

SWEEP = """
graph @sweep(%u: f64[6], %n: i64[]) -> (f64[6], f64[6]) {
  %a: f64[6] = loop[symbol=i, start=0, trips=3, step=1, constants=0](%u) {
    body = graph @outer(%u: f64[6]) -> (f64[6]) {
      %b: f64[6] = loop[symbol=j, start=4, trips=4, step=-1, constants=0](%u) {
        body = graph @inner(%u: f64[6]) -> (f64[6]) {
          %0: f64[] = getitem[index=(j+1,)](%u)
          %1: f64[6] = update[index=(j,)](%u, %0)
          return %1
        }
      }
      return %b
    }
  }
  %c: f64[6] = counted[symbol=t, constants=1, reverse=False, capacity=None](%n, %u, %a) {
    body = graph @counted(%u: f64[6], %v: f64[6]) -> (f64[6]) {
      %0: f64[t] = getitem[index=(0:t,)](%v)
      %1: f64[] = sum[axis=(0,)](%0)
      %2: i64[] = index[dim=2*t]()
      %3: f64[] = convert[dtype=f64](%2)
      %4: f64[] = add(%1, %3)
      %5: f64[6] = update[index=(0,)](%v, %4)
      return %5
    }
  }
  return %a, %c
}
"""


def test_a_loop_is_a_frame_and_what_it_carries_comes_back() -> None:
    source = draw(parse(SWEEP)).source
    assert source.count("subgraph cluster_") == 3
    for words in ("for i in 0..2", "for j in 4..1 by -1", '"for t"', "how often", "2*t"):
        assert words in source
    back = [(start, end) for start, end, style in edges(source) if "dashed" in style]
    assert sorted(end for _, end in back) == ["c0", "c1", "c2"]
    assert ("in0", "c0") in [(start, end) for start, end, _ in edges(source)]
    assert "</svg>" in draw(parse(SWEEP)).svg()


def test_every_node_inside_loops_is_drawn_once() -> None:
    source = draw(parse(SWEEP)).source
    drawn = [name for name in boxes(source) if re.fullmatch(r"n\d+", name)]
    assert len(drawn) == len(set(drawn)) == 7  # all but the index


def test_a_large_loop_is_one_box() -> None:
    source = draw(parse(SWEEP), collapse=True).source
    assert len([name for name in boxes(source) if re.fullmatch(r"b\d+", name)]) == 2
    assert "for i in 0..2" in source
    assert "for j" not in source


CHOICE = """
graph @choice(%x: f64[], %y: f64[]) -> (f64[]) {
  %a: f64[] = while[symbol=t, constants=1, capacity=8](%y, %x) {
    test = graph @test(%y: f64[], %x: f64[]) -> (bool[]) {
      %0: bool[] = less(%x, %y)
      return %0
    }
    body = graph @body(%y: f64[], %x: f64[]) -> (f64[]) {
      %0: f64[] = add(%x, %x)
      return %0
    }
  }
  %p: bool[] = less(%a, %x)
  %b: f64[] = cond(%p, %a, %y) {
    then = graph @then(%a: f64[], %y: f64[]) -> (f64[]) {
      %0: f64[] = sin(%a)
      return %0
    }
    orelse = graph @orelse(%a: f64[], %y: f64[]) -> (f64[]) {
      return %y
    }
  }
  return %b
}
"""


def test_tests_and_branches_have_frames_of_their_own() -> None:
    source = draw(parse(CHOICE)).source
    assert source.count("subgraph cluster_") == 5
    for words in ("while", "as long as", "go on", "then", "else"):
        assert words in source
    drawn = [(start, end) for start, end, _ in edges(source)]
    assert ("in1", "m0") in drawn  # the other branch returns its operand
    assert ("m0", "out0") in drawn
