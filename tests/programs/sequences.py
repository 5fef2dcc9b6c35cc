"""Sequences: dynamic programming, hidden Markov models, recurrent networks, attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.programs.program import Program


def soft_min(a: Any, b: Any, c: Any) -> Any:
    low = min(a, b, c)
    return low - np.log(np.exp(low - a) + np.exp(low - b) + np.exp(low - c))


def soft_time_warping(x: Any, y: Any) -> Any:
    cost = np.full((len(x) + 1, len(y) + 1), 1e10)
    cost[0, 0] = 0.0
    for i in range(1, len(x) + 1):
        for j in range(1, len(y) + 1):
            gap = (x[i - 1] - y[j - 1]) ** 2
            cost[i, j] = gap + soft_min(cost[i - 1, j], cost[i, j - 1], cost[i - 1, j - 1])
    return cost[-1, -1]


def time_warping(x: Any, y: Any) -> Any:
    n, m = len(x), len(y)
    cost = np.full((n + 1, m + 1), np.inf)
    cost[0, 0] = 0.0
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            best = min(cost[i - 1, j], cost[i, j - 1], cost[i - 1, j - 1])
            cost[i, j] = abs(x[i - 1] - y[j - 1]) + best
    return cost[n, m]


def alignment(scores: Any, gap: Any) -> Any:
    n, m = scores.shape
    best = np.zeros((n + 1, m + 1))
    for i in range(1, n + 1):
        best[i, 0] = best[i - 1, 0] - gap
    for j in range(1, m + 1):
        best[0, j] = best[0, j - 1] - gap
    for i in range(1, n + 1):
        for j in range(1, m + 1):
            best[i, j] = best[i - 1, j - 1] + scores[i - 1, j - 1]
            if best[i - 1, j] - gap > best[i, j]:
                best[i, j] = best[i - 1, j] - gap
            if best[i, j - 1] - gap > best[i, j]:
                best[i, j] = best[i, j - 1] - gap
    return best


def edit_distance(first: Any, second: Any, insertion: Any, change: Any) -> Any:
    row = np.arange(len(second) + 1) * insertion
    for i in range(len(first)):
        last = row.copy()
        row[0] = (i + 1) * insertion
        for j in range(len(second)):
            same = last[j] + (0.0 if first[i] == second[j] else change)
            row[j + 1] = min(last[j + 1] + insertion, row[j] + insertion, same)
    return row[-1]


def parentheses(d: Any) -> Any:
    n = len(d) - 1
    cost = np.zeros((n, n))
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length - 1
            cost[i, j] = np.inf
            for k in range(i, j):
                q = cost[i, k] + cost[k + 1, j] + d[i] * d[k + 1] * d[j + 1]
                if q < cost[i, j]:
                    cost[i, j] = q
    return cost[0, -1]


def viterbi(start: Any, moves: Any, emissions: Any) -> Any:
    steps, states = emissions.shape
    score = start + emissions[0]
    for t in range(1, steps):
        new = np.empty(states)
        for s in range(states):
            new[s] = np.max(score + moves[:, s]) + emissions[t, s]
        score = new
    return np.max(score)


def viterbi_path(start: Any, moves: Any, emissions: Any) -> Any:
    steps, states = emissions.shape
    back = np.zeros((steps, states), dtype=np.int64)
    score = start + emissions[0]
    for t in range(1, steps):
        total = score[:, None] + moves
        back[t] = np.argmax(total, axis=0)
        score = np.max(total, axis=0) + emissions[t]
    path = np.zeros(steps, dtype=np.int64)
    path[-1] = np.argmax(score)
    for t in range(steps - 1, 0, -1):
        path[t - 1] = back[t, path[t]]
    return path, np.max(score)


def forward_algorithm(start: Any, moves: Any, emissions: Any) -> Any:
    alpha = start * emissions[0]
    score = 0.0
    for t in range(1, len(emissions)):
        total = alpha.sum()
        score += np.log(total)
        alpha = (alpha / total) @ moves * emissions[t]
    return score + np.log(alpha.sum())


def forward_backward(start: Any, moves: Any, emissions: Any) -> Any:
    alpha, beta = np.zeros_like(emissions), np.ones_like(emissions)
    alpha[0] = start * emissions[0]
    for t in range(1, len(alpha)):
        for s in range(len(start)):
            alpha[t, s] = alpha[t - 1] @ moves[:, s] * emissions[t, s]
    for t in range(len(alpha) - 2, -1, -1):
        beta[t] = moves @ (emissions[t + 1] * beta[t + 1])
    posterior = alpha * beta
    posterior /= np.sum(posterior, axis=1, keepdims=True)
    return posterior


def softmax_rows(x: Any) -> None:
    for i in range(x.shape[0]):
        x[i] -= np.max(x[i])
        x[i] = np.exp(x[i])
        x[i] /= np.sum(x[i])


def causal_attention(q: Any, k: Any, v: Any) -> Any:
    out = np.zeros_like(v)
    for i in range(q.shape[0]):
        scores = k[: i + 1] @ q[i] / np.sqrt(q.shape[1])
        weights = np.exp(scores - np.max(scores))
        out[i] = (weights / np.sum(weights)) @ v[: i + 1]
    return out


def online_softmax(q: Any, k: Any, v: Any) -> Any:
    out = np.empty_like(q)
    for i in range(len(q)):
        top, total = -1e30, 0.0
        sums = np.zeros(v.shape[1])
        for j in range(len(k)):
            score = q[i] @ k[j]
            new = max(top, score)
            scale = np.exp(top - new)
            weight = np.exp(score - new)
            total = total * scale + weight
            sums = sums * scale + weight * v[j]
            top = new
        out[i] = sums / total
    return out


def recurrent_network(x: Any, w: Any, u: Any, b: Any) -> Any:
    h = np.zeros(w.shape[1])
    states = []
    for t in range(x.shape[0]):
        h = np.tanh(x[t] @ w + h @ u + b)
        states.append(h)
    return np.stack(states)


def sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def lstm(x: Any, w: Any, u: Any, h: Any, c: Any) -> Any:
    n = len(h)
    for t in range(len(x)):
        z = w @ x[t] + u @ h
        forget, write, read = sigmoid(z[:n]), sigmoid(z[n : 2 * n]), sigmoid(z[2 * n : 3 * n])
        c = forget * c + write * np.tanh(z[3 * n :])
        h = read * np.tanh(c)
    return h, c


def layer_norm_rows(x: Any, gain: Any, bias: Any) -> Any:
    for row in x:
        row -= row.mean()
        row /= np.sqrt(np.mean(row**2) + 1e-5)
        row *= gain
        row += bias
    return x


def log_probabilities(rng: Any, n: int) -> Any:
    return (
        np.log(rng.uniform(0.1, 1, 3)),
        np.log(rng.uniform(0.1, 1, (3, 3))),
        rng.normal(size=(n, 3)),
    )


def probabilities(rng: Any, n: int) -> Any:
    moves = rng.uniform(0.1, 1, (3, 3))
    return np.full(3, 1 / 3), moves / moves.sum(axis=1, keepdims=True), rng.uniform(0.1, 1, (n, 3))


PROGRAMS = (
    Program(
        soft_time_warping,
        lambda rng, n: (rng.normal(size=n), rng.normal(size=n + 1)),
        (1, 2, 11),
        (0, 1),
        second=True,
    ),
    Program(
        time_warping,
        lambda rng, n: (rng.normal(size=n), rng.normal(size=n + 1)),
        (1, 2, 11),
        (0, 1),
        exact=True,
    ),
    Program(
        alignment, lambda rng, n: (rng.normal(size=(n, n + 1)), 0.3), (0, 1, 11), (0, 1), exact=True
    ),
    Program(
        edit_distance,
        lambda rng, n: (rng.integers(0, 3, n), rng.integers(0, 3, n + 1), 1.1, 1.3),
        (0, 1, 11),
        (2, 3),
        exact=True,
    ),
    Program(
        parentheses, lambda rng, n: (rng.uniform(1, 2, n + 1),), (1, 2, 11), exact=True, second=True
    ),
    Program(viterbi, log_probabilities, (1, 2, 11), (0, 1, 2), exact=True),
    Program(viterbi_path, log_probabilities, (1, 2, 11), (0, 1, 2), exact=True),
    Program(forward_algorithm, probabilities, (1, 2, 11), (0, 1, 2), second=True),
    Program(forward_backward, probabilities, (1, 2, 11), (0, 1, 2)),
    Program(
        softmax_rows,
        lambda rng, n: (rng.normal(size=(n, 4)),),
        (1, 2, 11),
        writes=(0,),
        second=True,
    ),
    Program(
        causal_attention,
        lambda rng, n: tuple(rng.normal(size=(n, 3)) for _ in range(3)),
        (1, 2, 11),
        (0, 1, 2),
        second=True,
    ),
    Program(
        online_softmax,
        lambda rng, n: tuple(rng.normal(size=(n, 3)) for _ in range(3)),
        (1, 2, 11),
        (0, 1, 2),
    ),
    Program(
        recurrent_network,
        lambda rng, n: (
            rng.normal(size=(n, 3)),
            rng.normal(size=(3, 2)),
            rng.normal(size=(2, 2)),
            rng.normal(size=2),
        ),
        (1, 2, 11),
        (0, 1, 2, 3),
        second=True,
        unrolled=True,
    ),
    Program(
        lstm,
        lambda rng, n: (
            rng.normal(size=(n, 3)),
            rng.normal(size=(8, 3)),
            rng.normal(size=(8, 2)),
            rng.normal(size=2),
            rng.normal(size=2),
        ),
        (1, 2, 11),
        (0, 1, 2, 3, 4),
    ),
    Program(
        layer_norm_rows,
        lambda rng, n: (rng.normal(size=(n, 4)), rng.normal(size=4), rng.normal(size=4)),
        (1, 2, 11),
        (0, 1, 2),
        (0,),
        second=True,
    ),
)
