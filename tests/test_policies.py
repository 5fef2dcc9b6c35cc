"""What checkpoints save, by their policies: straight, nested, and in loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import adgraph
from adgraph import checkpoint, checkpoint_name, checkpoint_policies, grad, jvp, name, trace
from adgraph.errors import TracingError
from adgraph.ir.graph import Graph, Policy

N = 128
SQUARE = N * N * 8  # bytes
RANDOM = np.random.default_rng(0)
W = RANDOM.standard_normal((N, N)) / N**0.5
X = RANDOM.standard_normal((N, N))


def layer(w: Any, x: Any) -> Any:
    hidden = name(w @ x, "hidden")  # the derivative of tanh reads its argument
    return np.tanh(np.tanh(hidden) @ w)


def network(policy: Policy | None) -> Any:
    step = layer if policy is None else checkpoint(layer, policy=policy)

    @trace
    def loss(w: Any, x: Any) -> Any:
        for _ in range(3):
            x = step(w, x)
        return np.sum(x)

    return loss.grad


def kept(policy: Policy | None) -> int:
    """Arrays of the network that stay for its derivative."""
    return int(network(policy).explain(W, X).residual_bytes) // SQUARE


def test_every_policy_gives_the_same_gradient() -> None:
    want = network(None)(W, X)
    both = checkpoint_policies.save_from_both_policies(
        checkpoint_policies.dots_saveable, checkpoint_policies.save_only_these_names("hidden")
    )
    for policy in (
        checkpoint_policies.everything_saveable,
        checkpoint_policies.nothing_saveable,
        checkpoint_policies.dots_saveable,
        checkpoint_policies.dots_with_no_batch_dims_saveable,
        checkpoint_policies.save_only_these_names("hidden"),
        checkpoint_policies.save_any_names_but_these("other"),
        checkpoint_policies.save_anything_except_these_names("hidden"),
        both,
    ):
        np.testing.assert_allclose(network(policy)(W, X), want, rtol=1e-11, atol=1e-13)


def test_a_policy_decides_what_is_kept() -> None:
    assert kept(checkpoint_policies.everything_saveable) == kept(None)
    # The results of two layers, from which the next ones start; with the names one array a layer.
    assert kept(checkpoint_policies.nothing_saveable) == 2
    assert kept(checkpoint_policies.save_only_these_names("hidden")) == 5
    assert kept(checkpoint_policies.save_any_names_but_these("hidden")) == 2
    assert kept(checkpoint_policies.save_any_names_but_these("other")) == 5


def test_what_is_saved_is_not_computed_again() -> None:
    def again(policy: Policy) -> list[str]:
        program = network(policy).dispatch.entry((W, X), {}).compiled.program
        return [node.op.name for node in program.schedule.recomputed]

    assert again(checkpoint_policies.nothing_saveable).count("matmul") == 6
    assert again(checkpoint_policies.save_only_these_names("hidden")).count("matmul") == 3
    assert again(checkpoint_policies.dots_saveable).count("matmul") == 0


def test_products_of_two_stacks_are_batched_and_those_with_one_matrix_are_not() -> None:
    matrix, stack = (adgraph.ir.types.ArrayType(np.dtype(float), s) for s in ((3, 3), (2, 3, 3)))
    matmul = adgraph.ir.op.OPS["matmul"]
    policy = checkpoint_policies.dots_with_no_batch_dims_saveable
    assert policy(matmul, (matrix, matrix), frozenset())
    assert policy(matmul, (stack, matrix), frozenset())
    assert not policy(matmul, (stack, stack), frozenset())
    assert checkpoint_policies.checkpoint_dots(matmul, (stack, stack), frozenset())


def test_a_policy_may_be_any_function_of_op_types_and_names() -> None:
    seen: list[tuple[str, frozenset[str]]] = []

    def policy(op: Any, types: Any, names: frozenset[str]) -> bool:
        seen.append((op.name, names))
        return bool(op.name == "matmul")

    np.testing.assert_allclose(network(policy)(W, X), network(None)(W, X), rtol=1e-11, atol=1e-13)
    assert ("matmul", frozenset({"hidden"})) in seen
    assert ("matmul", frozenset()) in seen


def test_a_name_costs_nothing_and_is_gone_from_the_program() -> None:
    def plain(x: Any) -> Any:
        return np.sum(np.tanh(np.sin(x) * 2.0) ** 2)

    def marked(x: Any) -> Any:
        return np.sum(name(np.tanh(checkpoint_name(np.sin(x), "sine") * 2.0), "tanh") ** 2)

    x = X[0]
    for one, other in ((trace(plain), trace(marked)), (grad(plain), grad(marked))):
        assert one.graph(x) == other.graph(x)
        np.testing.assert_array_equal(one(x), other(x))


def test_names_are_transparent_to_every_transform() -> None:
    def f(x: Any) -> Any:
        pair = name({"a": x * 2.0, "b": (x, 3)}, "pair")
        return np.sum(pair["a"] * pair["b"][0] * pair["b"][1])

    np.testing.assert_allclose(f(X), np.sum(6 * X**2))
    np.testing.assert_allclose(grad(f)(X), 12 * X, rtol=1e-14)
    np.testing.assert_allclose(jvp(f, (X,), (X,))[1], np.sum(12 * X**2), rtol=1e-12)
    np.testing.assert_allclose(grad(lambda x: np.sum(grad(f)(x)))(X), 12 + 0 * X, rtol=1e-14)


# --- nested -----------------------------------------------------------------------------------


def inner(x: Any) -> Any:
    return np.tanh(np.sin(x) * np.cos(x))


def four(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: step(step(step(step(x))))


def test_checkpoints_of_checkpoints_keep_less_and_compute_more() -> None:
    x = np.linspace(0.0, 1.0, 20_000)
    flat = trace(lambda x: np.sum(four(four(checkpoint(inner)))(x) ** 2)).grad
    blocks = trace(lambda x: np.sum(four(checkpoint(four(inner)))(x) ** 2)).grad
    nested = trace(lambda x: np.sum(four(checkpoint(four(checkpoint(inner))))(x) ** 2)).grad
    peaks = [g.explain(x).peak_bytes for g in (nested, blocks, flat)]
    assert sorted(peaks) == peaks
    assert peaks[0] < 0.6 * peaks[2]
    assert nested.explain(x).recomputed > blocks.explain(x).recomputed
    want = trace(lambda x: np.sum(four(four(inner))(x) ** 2)).grad(x)
    for gradient in (flat, blocks, nested):
        np.testing.assert_allclose(gradient(x), want, rtol=1e-10)


# --- loops ------------------------------------------------------------------------------------

TRIPS = 40
ROW = TRIPS * N * 8  # bytes of a tape of one vector a trip


def step(w: Any, x: Any) -> Any:
    y = np.tanh(name(w @ x, "product"))
    return np.tanh(np.sin(w @ y) * np.cos(y))


def looped(policy: Policy | None, kind: str) -> Any:
    f = step if policy is None else checkpoint(step, policy=policy)

    def loss(w: Any, x: Any) -> Any:
        if kind == "scan":
            return np.sum(adgraph.scan(lambda c, _: (f(w, c), None), x, None, length=TRIPS)[0])
        if kind == "while":
            i = 0
            while i < TRIPS and np.sum(x) < 1e6:
                x = f(w, x)
                i = i + 1
        else:
            for _ in range(TRIPS):
                x = f(w, x)
        return np.sum(x)

    return trace(loss).grad


@pytest.mark.parametrize("kind", ["for", "scan"])
def test_the_tape_of_a_loop_of_checkpoints_holds_what_it_carries_and_what_is_saved(
    kind: str,
) -> None:
    x = X[0]
    want = looped(None, kind)(W, x)
    rows = {
        None: 3,
        checkpoint_policies.everything_saveable: 3,
        checkpoint_policies.nothing_saveable: 1,
        checkpoint_policies.save_only_these_names("product"): 2,
    }
    for policy, expected in rows.items():
        gradient = looped(policy, kind)
        assert gradient.explain(W, x).taped_bytes == expected * ROW
        np.testing.assert_allclose(gradient(W, x), want, rtol=1e-10, atol=1e-12)


def test_a_while_of_checkpoints_gives_the_same_gradient() -> None:
    x = X[0]
    plain = looped(None, "while")
    marked = looped(checkpoint_policies.nothing_saveable, "while")
    assert marked.explain(W, x).taped_bytes < plain.explain(W, x).taped_bytes
    np.testing.assert_allclose(marked(W, x), plain(W, x), rtol=1e-10, atol=1e-12)


def test_a_loop_inside_a_checkpointed_step_records_one_trip_of_the_outer_loop() -> None:
    def sweep(w: Any, x: Any) -> Any:
        for _ in range(10):
            x = np.tanh(w @ np.sin(w @ x))
        return x

    def loss(f: Callable[..., Any]) -> Any:
        def run(w: Any, x: Any) -> Any:
            for _ in range(TRIPS):
                x = f(w, x)
            return np.sum(x)

        return trace(run).grad

    x = X[0]
    plain, marked = loss(sweep), loss(checkpoint(sweep))
    assert marked.explain(W, x).peak_bytes < 0.4 * plain.explain(W, x).peak_bytes
    np.testing.assert_allclose(marked(W, x), plain(W, x), rtol=1e-10, atol=1e-12)


def test_a_checkpoint_around_a_loop_does_not_empty_its_tape() -> None:
    def sweep(w: Any, x: Any) -> Any:
        for _ in range(TRIPS):
            x = step(w, x)
        return np.sum(x)

    x = X[0]
    marked = trace(checkpoint(sweep)).grad
    assert marked.explain(W, x).taped_bytes == looped(None, "for").explain(W, x).taped_bytes
    np.testing.assert_allclose(marked(W, x), looped(None, "for")(W, x), rtol=1e-10, atol=1e-12)


def test_a_traced_or_checkpointed_function_called_in_a_loop_does_not_unroll_it() -> None:
    def curved(x: Any) -> Any:
        return np.tanh(x) * 2.0

    for f in (trace(curved), checkpoint(curved), checkpoint(trace(curved))):

        def loop(x: Any, f: Any = f) -> Any:
            for _ in range(100):
                x = f(x)
            return x

        assert len(trace(loop, static_argnames="f").graph(X[0]).nodes) < 5


# --- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["prevent_cse", "static_argnums", "static_argnames", "concrete"])
def test_arguments_of_jax_without_a_meaning_here_are_refused_with_a_reason(option: str) -> None:
    with pytest.raises(TracingError, match=f"(?s)checkpoint takes no {option}.*leave the argument"):
        checkpoint(layer, **{option: ()})


def test_unknown_arguments_and_what_is_no_function_are_refused() -> None:
    with pytest.raises(TracingError, match=r"checkpoint has no argument 'polocy'"):
        checkpoint(layer, polocy=None)
    with pytest.raises(TracingError, match=r"checkpoint takes a function, found 3"):
        checkpoint(3)
    with pytest.raises(TracingError, match=r"as its policy a function, found 'dots'"):
        checkpoint(layer, policy="dots")
    with pytest.raises(TracingError, match=r"a name is a str, found 3"):
        name(X, 3)


def test_policies_that_move_values_to_another_memory_are_refused() -> None:
    with pytest.raises(TracingError, match=r"(?s)there is none.*dots_with_no_batch_dims_saveable"):
        checkpoint_policies.offload_dot_with_no_batch_dims("device", "pinned_host")
    with pytest.raises(TracingError, match=r"(?s)there is none.*save_only_these_names"):
        checkpoint_policies.save_and_offload_only_these_names(
            names_which_can_be_saved=["a"],
            names_which_can_be_offloaded=["b"],
            offload_src="device",
            offload_dst="pinned_host",
        )


def test_all_of_jaxs_policies_are_here_under_their_names() -> None:
    jax = pytest.importorskip("jax")
    missing = set(vars(jax.checkpoint_policies)) - set(vars(checkpoint_policies))
    assert not missing


def test_the_text_of_a_program_holds_the_regions() -> None:
    from adgraph.ir.parse import parse

    graph = trace(lambda x: checkpoint(lambda y: checkpoint(np.sin)(y) * 2.0)(x)).graph(X[0])
    assert isinstance(graph, Graph)
    assert "scope=lambda.0/sin.1" in str(graph)
    assert str(parse(str(graph))) == str(graph)
