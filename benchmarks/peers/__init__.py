"""The packages that are compared. Begin with `contestants`; one module per package.

A module's `contestant()` makes the package run the NumPy functions of `benchmarks.suite`, or its
own form of them: what its expert writes. What it does not run is a LeftOutError with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benchmarks.peers.contestant import Contestant

OURS = "adgraph"
HAND = "hand"
# The name in the table: what must be installed, the module here, its function.
PEERS = {
    "numpy": ("numpy", "in_numpy", "contestant"),
    "jax": ("jax", "in_jax", "contestant"),
    "torch": ("torch", "in_torch", "contestant"),
    "torch.compile": ("torch", "in_torch", "compiled_contestant"),
    "autograd": ("autograd", "in_autograd", "contestant"),
    "advect": ("advect", "in_advect", "contestant"),
    "pytensor": ("pytensor", "in_pytensor", "contestant"),
    "casadi": ("casadi", "in_casadi", "contestant"),
    OURS: ("adgraph", "in_adgraph", "contestant"),
}
SHARED = Path(__file__).parents[3] / "shared" / "hand"


def contestants(names: list[str], hand: Path | None = SHARED) -> list[Contestant]:
    """Return those of these names that are installed, adgraph last."""
    found = [] if hand is None else [import_module("benchmarks.peers.by_hand").contestant(hand)]
    return [*found, *_installed([*(n for n in names if n != OURS), OURS])]


def _installed(names: list[str]) -> Iterator[Contestant]:
    for name in names:
        package, module, function = PEERS[name]
        if find_spec(package):
            make: Callable[[], Contestant]
            make = getattr(import_module(f"benchmarks.peers.{module}"), function)
            yield make()


def missing(names: list[str]) -> list[str]:
    """Return the packages that would be compared if they were installed."""
    return [name for name in names if not find_spec(PEERS[name][0])]
