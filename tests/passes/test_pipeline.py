"""The pipeline: order, report, dumps, and notes on exceptions."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adgraph.errors import GraphError
from adgraph.ir.graph import Graph
from adgraph.ir.parse import parse
from adgraph.ops.constant import stop_gradient
from adgraph.passes.pipeline import CANONICAL, FINAL, Pass, run_pipeline
from adgraph.passes.rewrite import Table, count_nodes, rewrite
from adgraph.passes.rules import Rule, Site
from adgraph.passes.simplify import simplify
from adgraph.transforms.vjp import vjp
from tests.passes.test_cleanup import region
from tests.strategies import graph_of

VECTOR = np.arange(4.0)


def _messy(x: Any) -> Any:
    y = stop_gradient(x) * 1.0 + np.log(1.0 + x)
    return np.sum(y - 0.0)


def _graph() -> Graph:
    return graph_of(_messy, VECTOR, name="messy")


def test_stop_gradient_survives_until_the_derivatives_are_taken() -> None:
    canonical, _ = run_pipeline(_graph(), CANONICAL)
    assert "stop_gradient" in str(canonical)
    final, _ = run_pipeline(vjp(canonical, [0], unit_seed=True), FINAL)
    assert "stop_gradient" not in str(final)


def test_the_report_counts_nodes_hits_and_seconds() -> None:
    graph = _graph()
    after, report = run_pipeline(graph, CANONICAL)
    assert [r.name for r in report.records] == [p.name for p in CANONICAL]
    assert report.records[0].before == count_nodes(graph)
    assert report.records[-1].after == count_nodes(after)
    assert report.hits["log(1 + x)"] == 1
    assert report.hits["x * 1"] == 1
    assert report.seconds == sum(r.seconds for r in report.records) > 0


def test_a_pass_is_not_run_again_on_a_graph_that_it_left_as_it_was() -> None:
    seen: list[str] = []

    def noted(name: str, change: bool) -> Pass:
        def function(graph: Graph, hits: Counter[str]) -> Graph:
            seen.append(name)
            return replace(graph) if change else graph

        return Pass(name, function, "")

    looks, copies = noted("looks", change=False), noted("copies", change=True)
    run_pipeline(_graph(), [looks, looks, copies, looks, copies, copies])
    assert seen == ["looks", "copies", "looks", "copies", "copies"]


def test_the_report_prints_as_a_table() -> None:
    _, report = run_pipeline(_graph(), CANONICAL)
    head, *rows = str(report).splitlines()
    assert head.split() == ["@messy", "before", "after", "ms", "rules"]
    assert [row.split()[0] for row in rows] == [*(p.name for p in CANONICAL), "total"]
    assert rows[2].endswith("x * 1: 1, x - 0: 1")
    assert all(re.match(r"\w+ +\d+ +\d+ +\d+\.\d\d", row) for row in rows)


def test_a_callback_sees_every_pass() -> None:
    seen = []
    run_pipeline(_graph(), FINAL, dump=lambda name, before, after: seen.append((name, after)))
    assert [name for name, _ in seen] == [p.name for p in FINAL]
    assert all(isinstance(graph, Graph) for _, graph in seen)


def test_the_environment_dumps_named_passes_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADGRAPH_DUMP", "stabilize,cse")
    run_pipeline(_graph(), CANONICAL)
    text = capsys.readouterr().err
    assert re.findall(r"--- (\w+) (\w+)", text) == [
        ("before", "stabilize"),
        ("after", "stabilize"),
        ("before", "cse"),
        ("after", "cse"),
    ]
    assert "log1p" in text


def test_the_environment_dumps_all_passes_to_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "dump"
    monkeypatch.setenv("ADGRAPH_DUMP", "all")
    monkeypatch.setenv("ADGRAPH_DUMP_DIR", str(folder))
    graph = _graph()
    run_pipeline(graph, FINAL)
    files = sorted(folder.iterdir())
    assert len(files) == 2 * len(FINAL)
    first = next(f for f in files if f.name.endswith("00-release-before.txt"))
    assert parse(first.read_text()).fingerprint == graph.fingerprint


def test_nothing_is_dumped_unasked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ADGRAPH_DUMP", raising=False)
    run_pipeline(_graph(), FINAL)
    assert capsys.readouterr().err == ""


def _broken(rule: Any) -> Pass:
    table = Table((Rule("broken", (np.sin,), rule),))
    return Pass("breaking", lambda graph, hits: rewrite(graph, table, hits), "fails")


def _fail(site: Site) -> Any:
    raise ZeroDivisionError("a bug in a rule")


def test_an_exception_in_a_pass_says_where() -> None:
    graph = graph_of(lambda x: np.cos(np.sin(x)), VECTOR, name="waves")
    with pytest.raises(ZeroDivisionError) as caught:
        run_pipeline(graph, [_broken(_fail)])
    notes = "\n".join(caught.value.__notes__)
    assert "in the pass 'breaking' over @waves" in notes
    assert "  > %0: f64[4] = sin(%x)" in notes
    assert "    %1: f64[4] = cos(%0)" in notes


def test_a_rule_that_changes_a_type_is_found_out() -> None:
    graph = graph_of(lambda x: np.sin(x), VECTOR)
    with pytest.raises(GraphError, match=r"the rule 'broken' turned f64\[4\] into f64\[\]"):
        run_pipeline(graph, [_broken(lambda site: np.sum(site.args[0]))])


def test_verification_finds_a_pass_that_breaks_a_graph() -> None:
    def forget(graph: Graph, hits: Counter[str]) -> Graph:
        return Graph(graph.inputs, graph.nodes[:-1], graph.outputs, graph.name)

    with pytest.raises(GraphError, match="returns a value that it does not define"):
        run_pipeline(_graph(), [Pass("forget", forget, "breaks")], verify=True)


def test_programs_inside_nodes_are_simplified_too() -> None:
    outer = region(graph_of(lambda x: np.sin(x * 1.0), VECTOR))
    after, report = run_pipeline(outer, FINAL)
    assert len(after.nodes[0].attrs["body"].nodes) == 1
    assert report.hits["x * 1"] == 1
    assert report.records[0].before == 4


def test_rewritten_nodes_keep_the_line_and_the_order_of_the_original() -> None:
    joint = vjp(graph_of(lambda x: np.sum(np.sin(x) * x), VECTOR), [0], unit_seed=True)
    after = simplify(joint)
    lines = {node.origin.location.file for node in after.nodes if node.origin.location}
    assert lines == {__file__}
    assert {node.origin.order for node in after.nodes} == {0, 1}


def test_filling_an_array_element_by_element_is_one_concatenation() -> None:
    def function(x: Any) -> Any:
        y = np.zeros_like(x)
        for i in range(len(x)):
            y[i] = np.sin(x[i]) + (y[i - 1] if i else 0.0)
        return np.sum(y * y)

    x = np.linspace(0, 1, 30)
    canonical, _ = run_pipeline(graph_of(function, x), CANONICAL, verify=True)
    final, _ = run_pipeline(vjp(canonical, [0], unit_seed=True), FINAL, verify=True)
    counts = Counter(node.op.name for node in final.nodes)
    assert counts["update"] == counts["place"] == 0
    assert counts["concatenate"] == 2
