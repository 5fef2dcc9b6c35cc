"""The walk of the rules: what stays is itself, and is looked at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ir.graph import Graph
from adgraph.ir.parse import parse
from adgraph.passes.rewrite import Table, rewrite
from adgraph.passes.rules import Rule, Site

TEXT = """graph @f(%x: f64[3]) -> (f64[3]) {
  %0: f64[3] = sin(%x)
  %1: f64[3] = cos(%0)
  %2: f64[3] = negative(%1)
  %3: f64[3] = negative(%2)
  return %3
}"""


def program() -> Graph:
    return parse(TEXT)


def double_negative(site: Site) -> Any:
    inner = site.made(site.args[0], np.negative)
    return None if inner is None else inner.args[0]


def test_nodes_that_no_rule_changes_stay_themselves() -> None:
    before = program()
    after = rewrite(before, Table((Rule("double negative", (np.negative,), double_negative),)))
    assert after.nodes == before.nodes[:2]
    assert after.inputs == before.inputs


def test_a_graph_that_no_rule_changes_is_returned() -> None:
    before = program()
    never = Rule("never", (np.sin, np.cos), lambda site: None)
    assert rewrite(before, Table((never,))) is before


def test_a_rule_looks_once_at_a_node_in_all_tables() -> None:
    met = []

    def look(site: Site) -> None:
        met.append(site.op.name)

    group = (Rule("look", (np.sin, np.cos), look),)
    change = (Rule("double negative", (np.negative,), double_negative),)
    graph = rewrite(program(), Table(group, change))
    rewrite(graph, Table(group))
    rewrite(graph, Table(change, group))
    assert met == ["sin", "cos"]


def test_a_rule_that_asks_about_readers_looks_again() -> None:
    met = []

    def ask(site: Site) -> None:
        met.append(len(site.readers))

    table = Table((Rule("ask", (np.cos,), ask),), (Rule("x", (np.negative,), double_negative),))
    rewrite(program(), table)
    assert met == [1, 1, 1]  # is there anything to do, the walk that does it, is there more


def test_what_is_inside_a_node_is_remembered_apart() -> None:
    met = []

    def look(site: Site) -> None:
        met.append(site.inside)

    table, graph = Table((Rule("where", (np.sin,), look),)), program()
    rewrite(graph, table)
    rewrite(graph, table, inside=True)
    assert met == [False, True]


def test_equal_nodes_become_one() -> None:
    text = """graph @f(%x: f64[3]) -> (f64[3], f64[3]) {
  %0: f64[3] = negative(%x)
  %1: f64[3] = negative(%0)
  %2: f64[3] = sin(%1)
  %3: f64[3] = sin(%x)
  return %2, %3
}"""
    table = Table((Rule("double negative", (np.negative,), double_negative),))
    after = rewrite(parse(text), table)
    assert len(after.nodes) == 1
    assert after.outputs[0] is after.outputs[1]


def test_a_rule_is_asked_only_where_an_op_it_looks_for_is_behind() -> None:
    met = []

    def look(site: Site) -> None:
        met.append(site.op.name)

    on = (np.sin, np.cos, np.negative)
    rewrite(program(), Table((Rule("look", on, look, behind=(np.sin, np.cos)),)))
    assert met == ["cos", "negative"]


def test_a_rule_about_arrays_is_not_asked_about_scalars() -> None:
    met = []

    def look(site: Site) -> None:
        met.append(site.type.shape)

    table = Table((Rule("look", (np.sin,), look, arrays=True),))
    scalars = parse("graph @f(%x: f64[]) -> (f64[]) {\n  %0: f64[] = sin(%x)\n  return %0\n}")
    assert rewrite(scalars, table) is scalars
    rewrite(program(), table)
    assert met == [(3,)]
