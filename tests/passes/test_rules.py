"""Every rule: the text before and after, and the values."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adgraph.ir.evaluate import evaluate
from adgraph.ir.graph import Graph
from adgraph.ir.show import show
from adgraph.ir.verify import verify
from adgraph.passes.rewrite import rewrite
from tests.passes.rule_table import CASES, RULES, Case
from tests.strategies import graph_of

GOLDEN = Path(__file__).parents[1] / "graphs" / "rules"


def _label(number: int) -> str:
    case = CASES[number]
    earlier = sum(c.rule == case.rule for c in CASES[:number])
    words = "".join(c if c.isalnum() or c in "*+-/" else " " for c in case.rule)
    for sign, word in (("*", "times"), ("+", "plus"), ("-", "minus"), ("/", "over")):
        words = words.replace(sign, f" {word} ")
    return "_".join([*words.split(), *([str(earlier + 1)] if earlier else [])])


LABELS = [_label(i) for i in range(len(CASES))]
each_case = pytest.mark.parametrize(
    ("case", "label"), list(zip(CASES, LABELS, strict=True)), ids=LABELS
)


def _before_and_after(case: Case) -> tuple[Graph, Graph]:
    before = graph_of(case.function, *case.args)
    return before, rewrite(before, case.table)


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    assert {case.rule for case in CASES} == set(RULES)


@each_case
def test_a_rule_applies(case: Case, label: str) -> None:
    hits: Counter[str] = Counter()
    before = graph_of(case.function, *case.args)
    verify(rewrite(before, case.table, hits))
    assert hits[case.rule]


@each_case
def test_a_rule_gives_the_golden_text(case: Case, label: str) -> None:
    before, after = _before_and_after(case)
    text = "\n".join([show(before, canonical=True), "becomes", show(after, canonical=True), ""])
    path = GOLDEN / f"{label}.txt"
    if os.environ.get("ADGRAPH_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_no_golden_text_is_left_over() -> None:
    assert {p.stem for p in GOLDEN.glob("*.txt")} == set(LABELS)


@each_case
def test_a_rule_keeps_values_up_to_what_it_accepts(case: Case, label: str) -> None:
    before, after = _before_and_after(case)
    accepted = RULES[case.rule].accepted
    args = [np.asarray(x) for x in case.args]
    for a, b in zip(evaluate(before, *args), evaluate(after, *args), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        _compare(a, b, accepted)


def _compare(a: Any, b: Any, accepted: str) -> None:
    if "rounding" in accepted:
        np.testing.assert_allclose(b, a, rtol=1e-14, atol=1e-15)
        return
    np.testing.assert_array_equal(b, a)
    if not accepted and a.dtype.kind == "f":
        assert np.array_equal(np.signbit(a) | np.isnan(a), np.signbit(b) | np.isnan(b))


@each_case
def test_a_rule_has_nothing_left_to_do(case: Case, label: str) -> None:
    _, after = _before_and_after(case)
    again = rewrite(after, case.table)
    assert show(again, canonical=True) == show(after, canonical=True)
