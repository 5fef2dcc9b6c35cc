"""The order of the units of a program: which must run before which, and a sequence that keeps it.

Begin with `Order`.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator

from adgraph.lower.units import Unit


class Order:
    """Units by number, and for each, as bits, those that run after it."""

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.number: dict[Unit, int] = {}
        self.reach: list[int] = []  # bit j of reach[i]: unit j runs after unit i

    def add(self, unit: Unit) -> None:
        """Enter a unit, behind and before none yet."""
        self.number[unit] = len(self.units)
        self.units.append(unit)
        self.reach.append(0)

    def before(self, a: Unit, b: Unit) -> bool:
        """Tell whether one unit must run before another."""
        return bool(self.reach[self.number[a]] >> self.number[b] & 1)

    def edge(self, before: Unit, after: Unit) -> None:
        """Let one unit run before another."""
        if before is after or self.before(before, after):
            return
        assert not self.before(after, before), "an order that nothing can keep"
        first, last = self.number[before], self.number[after]
        gained = self.reach[last] | 1 << last
        self.reach[first] |= gained
        for i, reached in enumerate(self.reach):
            if reached >> first & 1:
                self.reach[i] |= gained

    def sequence(self) -> Iterator[Unit]:
        """Return the units in an order that keeps what must be kept, else that of the program."""
        live = [unit for unit in self.units if not unit.dropped]
        waits = dict.fromkeys(live, 0)
        for a, b in itertools.permutations(live, 2):
            waits[b] += self.before(a, b)
        ready = [(unit.key, self.number[unit]) for unit in live if not waits[unit]]
        heapq.heapify(ready)
        while ready:
            unit = self.units[heapq.heappop(ready)[1]]
            yield unit
            for other in live:
                if self.before(unit, other):
                    waits[other] -= 1
                    if not waits[other]:
                        heapq.heappush(ready, (other.key, self.number[other]))
