"""The demo: a network learns handwritten digits with gradients compiled from a plain NumPy loss.

`run(folder)` trains, compares with backpropagation written by hand, weighs the memory of the
gradient, draws its graph into the folder, and prints what it finds. Begin with `loss`.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from adgraph.api import Function, checkpoint, grad, trace
from adgraph.chart import show_bytes
from adgraph.draw import draw

HIDDEN, CLASSES = 128, 10
TRAIN, BATCH, PARTS = 1440, 32, 12
EPOCHS, RATE, SEED = 40, 0.3, 0
BUDGET = "600 kB"
REPEATS = 15

Array = np.ndarray[Any, Any]


class Parameters(NamedTuple):
    """The weights and biases of both layers, or their gradients."""

    w1: Array
    b1: Array
    w2: Array
    b2: Array


def scores(p: Parameters, images: Array) -> Array:
    """Return one score for each image and class."""
    hidden = np.maximum(images @ p.w1 + p.b1, 0)
    result: Array = hidden @ p.w2 + p.b2
    return result


def loss(p: Parameters, images: Array, labels: Array) -> Any:
    """Return the mean cross-entropy: this is all that adgraph is given."""
    s = scores(p, images)
    return np.mean(np.logaddexp.reduce(s, axis=1) - s[np.arange(len(labels)), labels])


def backpropagation(p: Parameters, images: Array, labels: Array) -> Parameters:
    """Return the gradient of `loss`, derived by hand."""
    before = images @ p.w1 + p.b1
    hidden = np.maximum(before, 0)
    s = hidden @ p.w2 + p.b2
    ct = np.exp(s - s.max(axis=1, keepdims=True))
    ct /= ct.sum(axis=1, keepdims=True)
    ct[np.arange(len(labels)), labels] -= 1
    ct /= len(labels)
    ct_hidden = (ct @ p.w2.T) * (before > 0)
    return Parameters(images.T @ ct_hidden, ct_hidden.sum(axis=0), hidden.T @ ct, ct.sum(axis=0))


def in_parts(part_loss: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that adds the losses of equal parts of the data."""

    def loss_in_parts(p: Parameters, images: Array, labels: Array) -> Any:
        parts = zip(np.split(images, PARTS), np.split(labels, PARTS), strict=True)
        return sum(part_loss(p, x, y) for x, y in parts) / PARTS

    return loss_in_parts


@dataclass(frozen=True)
class Digits:
    """Images of 8x8 pixels in [0, 1] and the digits they show."""

    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array

    def accuracy(self, p: Parameters) -> float:
        """Return the part of the test images that are recognized."""
        found = np.argmax(scores(p, self.test_images), axis=1)
        return float(np.mean(found == self.test_labels))

    def batches(self, random: np.random.Generator) -> Iterator[tuple[Array, Array]]:
        """Iterate over the training data in random order."""
        order = random.permutation(TRAIN)
        for chosen in np.split(order, TRAIN // BATCH):
            yield self.train_images[chosen], self.train_labels[chosen]


def split_digits(images: Array, labels: Array) -> Digits:
    """Shuffle the data and cut it into training and test data, the same way in every run."""
    order = np.random.default_rng(SEED).permutation(len(labels))
    images, labels = images[order] / 16, labels[order]
    return Digits(images[:TRAIN], labels[:TRAIN], images[TRAIN:], labels[TRAIN:])


def initial_parameters() -> Parameters:
    """Draw weights after He et al., Delving deep into rectifiers, 2015."""
    random = np.random.default_rng(SEED)
    w1 = random.normal(size=(64, HIDDEN)) * np.sqrt(2 / 64)
    w2 = random.normal(size=(HIDDEN, CLASSES)) * np.sqrt(2 / HIDDEN)
    return Parameters(w1, np.zeros(HIDDEN), w2, np.zeros(CLASSES))


@dataclass
class Training:
    """A training as far as it has come: seconds of every step, by adgraph and by hand."""

    parameters: Parameters
    compiled: list[float] = field(default_factory=list)
    by_hand: list[float] = field(default_factory=list)
    difference: float = 0.0


def train(gradient: Callable[..., Any], digits: Digits) -> Training:
    """Train by stochastic gradient descent; repeat every step by hand, from the same parameters."""
    training = Training(initial_parameters())
    random = np.random.default_rng(SEED)
    for _ in _progress(EPOCHS, "training"):
        for images, labels in digits.batches(random):
            _train_step(training, gradient, images, labels)
    return training


def _train_step(training: Training, gradient: Any, images: Array, labels: Array) -> None:
    """Take one step both ways, the first one in turn, and go on from that of adgraph."""
    ways = [(gradient, training.compiled), (backpropagation, training.by_hand)]
    if len(training.compiled) % 2:
        ways.reverse()
    found = {}
    for way, spent in ways:
        start = perf_counter()
        found[way] = _step(way, training.parameters, images, labels)
        spent.append(perf_counter() - start)
    compiled, training.parameters = found[gradient]
    difference = largest_difference(compiled, found[backpropagation][0])
    training.difference = max(training.difference, difference)


def _step(
    gradient: Any, p: Parameters, images: Array, labels: Array
) -> tuple[Parameters, Parameters]:
    """Return the gradient and the updated parameters."""
    g = gradient(p, images, labels)
    return g, Parameters(*(w - RATE * ct for w, ct in zip(p, g, strict=True)))


def largest_difference(a: Parameters, b: Parameters) -> float:
    """Return the largest absolute difference of two gradients."""
    return max(float(np.max(np.abs(x - y))) for x, y in zip(a, b, strict=True))


@dataclass(frozen=True)
class Weighed:
    """What one way to compute the gradient over all training data takes."""

    words: str
    peak: int
    seconds: float


def weigh(digits: Digits, p: Parameters) -> list[Weighed]:
    """Compare ways to compute the gradient over all training data at once."""
    parts = in_parts(loss)
    ways = {
        "in one piece": grad(trace(loss)),
        f"in {PARTS} parts": grad(trace(parts)),
        f"in {PARTS} checkpointed parts": grad(trace(in_parts(checkpoint(loss)))),
        f'in {PARTS} parts, memory_budget="{BUDGET}"': grad(trace(parts, memory_budget=BUDGET)),
    }
    data = (p, digits.train_images, digits.train_labels)
    peaks = [way.explain(*data).peak_bytes for way in ways.values()]
    seconds = _interleaved(list(ways.values()), data)
    return [Weighed(*row) for row in zip(ways, peaks, seconds, strict=True)]


def _interleaved(functions: list[Function], args: tuple[Any, ...]) -> list[float]:
    """Return the median seconds of each function, called in turn."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(REPEATS):
        for function, spent in zip(functions, times, strict=True):
            start = perf_counter()
            function(*args)
            spent.append(perf_counter() - start)
    return [statistics.median(spent) for spent in times]


def run(folder: Path) -> int:
    """Run the demo, print what it finds, and return the exit status."""
    try:
        from sklearn.datasets import load_digits
        from threadpoolctl import threadpool_limits
    except ImportError:
        print(MISSING, file=sys.stderr)
        return 1
    digits = split_digits(*load_digits(return_X_y=True))
    print(f"{HEADING}\n")
    tested = len(digits.test_labels)
    _print_fact("data", f"{TRAIN:,} images of 8x8 pixels to train, {tested} others to test")
    _demonstrate(digits, folder, threadpool_limits)
    return 0


MISSING = """The demo trains on the handwritten digits of scikit-learn, which is not installed:
  pip install "adgraph[demo]"      or, in a clone of the repository:
  pip install ".[demo]\""""

HEADING = (
    "adgraph demo: a 64-128-10 network learns handwritten digits by gradients from plain NumPy"
)


def _demonstrate(
    digits: Digits, folder: Path, limits: Callable[..., AbstractContextManager[Any]]
) -> None:
    gradient = grad(trace(loss))
    sample = (initial_parameters(), digits.train_images[:BATCH], digits.train_labels[:BATCH])
    start = perf_counter()
    explained = gradient.explain(*sample)
    seconds = perf_counter() - start
    size = f"{explained.nodes} operations fused into {explained.kernels} kernel calls"
    _print_fact("gradient", f"{size}, made in {seconds:.2f} s")
    with limits(1):  # after the compilation: only libraries that are loaded are pinned
        training = train(gradient, digits)
        weighed = weigh(digits, training.parameters)
    accuracy = digits.accuracy(training.parameters)
    steps = len(training.compiled)
    _print_fact("accuracy", f"{accuracy:.1%} on the test images after {steps:,} steps")
    _print_times(training)
    _print_memory(weighed, explained.peak_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    path = draw(gradient.kernels(*sample)).save(folder / "graph.svg")
    print(f"\nThe gradient as a picture: {path}")


def _print_fact(name: str, words: str) -> None:
    print(f"  {name:<10}{words}")


def _print_times(training: Training) -> None:
    compiled = statistics.median(training.compiled)
    by_hand = statistics.median(training.by_hand)
    print(f"\nTime of a step: gradient for {BATCH} images, update (medians; both on 1 thread)\n")
    print(f"  {'adgraph':<44}{compiled * 1e6:7.0f} us")
    print(f"  {'backpropagation by hand in NumPy':<44}{by_hand * 1e6:7.0f} us", end="")
    print(f"   {by_hand / compiled:.1f} x the time of adgraph")
    print(f"  {'largest difference of the two gradients':<44}{training.difference:7.0e}")


def _print_memory(weighed: list[Weighed], batch_peak: int) -> None:
    first = weighed[0]
    print("\nPeak memory of the gradient: known before the run, and exact\n")
    print(f"  {f'for {BATCH} images':<44}{show_bytes(batch_peak):>10}")
    print(f"  {f'for all {TRAIN:,} images at once':<54}{'one call':>12}")
    for row in weighed:
        line = f"    {row.words:<42}{show_bytes(row.peak):>10}{row.seconds * 1e3:9.2f} ms"
        if row is not first:
            line += f"   {row.peak / first.peak:4.0%} of the memory"
        print(line)
    print("  A checkpointed part keeps nothing for the backward pass and is computed again there;")
    print("  under a budget, adgraph chooses what to compute again.")


def _progress(count: int, words: str) -> Iterator[int]:
    """Iterate over range(count) with a progress bar, if somebody watches."""
    if not sys.stderr.isatty():
        yield from range(count)
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield from _plain_progress(count, words)
        return
    yield from tqdm(range(count), desc=f"  {words}", leave=False, unit="epoch", ncols=70)


def _plain_progress(count: int, words: str) -> Iterator[int]:
    for i in range(count):
        print(f"\r  {words:<10}{i + 1} of {count} epochs", end="", file=sys.stderr, flush=True)
        yield i
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)
