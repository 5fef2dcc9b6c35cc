"""Where to put snapshots in a chain of steps that is reversed with few of them: Revolve.

A chain has `links`; link i takes state i to state i + 1, and its reverse needs state i. `advances`
counts how many links must be run forward at least, `split` says how far to go before the next
snapshot, `sweeps` lists all that a reversal does. A. Griewank and A. Walther, Algorithm 799, ACM
Trans. Math. Softw. 26 (2000). The state at the start counts as a snapshot, the one under way does
not, as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb


def advances(links: int, snapshots: int) -> int:
    """Return how many links are run forward at least to reverse them all, `snapshots` being kept.

    >>> [advances(n, 3) for n in (5, 10, 100, 1000)]
    [5, 15, 490, 12155]
    """
    if links < 2:
        return 0
    runs = _runs(links, snapshots)
    return runs * links - comb(snapshots + runs, runs - 1)


def _runs(links: int, snapshots: int) -> int:
    """How often a link is run forward at most; one reversal of so many can be of more links."""
    if snapshots == 1:
        return links - 1
    runs = 0
    while comb(snapshots + runs, snapshots) < links:
        runs += 1
    return runs


def split(links: int, snapshots: int) -> int:
    """Return after how many links the next snapshot is best taken, the first one being taken.

    Of all best places it is the last one: snapshots are then written less often.

    >>> split(10, 3)
    4
    """
    runs = _runs(links, snapshots)
    most = comb(snapshots + runs - 1, snapshots)
    return max(1, min(most, links - comb(snapshots + runs - 2, snapshots - 1)))


@dataclass(frozen=True)
class Hop:
    """Keep the state under way in a row, then run the links from `begin` up to `end`.

    A row that is the number of rows stands for none.
    """

    row: int
    begin: int
    end: int


@dataclass(frozen=True)
class Sweeps:
    """What a reversal does. States are kept in rows; one more is under way.

    The first sweep keeps state `start[r]` in row r, and stops at the last link. Before link i is
    reversed, the state in row `restored[i]` is the one under way again (or it is already: where
    this is the number of rows), and the hops of `before[i]` lead to state i.
    """

    start: tuple[int, ...]
    restored: tuple[int, ...]
    before: tuple[tuple[Hop, ...], ...]

    @property
    def advances(self) -> int:
        """How many links run forward, those of the first sweep up to the last link included."""
        again = sum(hop.end - hop.begin for hops in self.before for hop in hops)
        return len(self.before) - 1 + again


def sweeps(links: int, snapshots: int) -> Sweeps:
    """Return the best way to reverse a chain.

    >>> sweeps(4, 2).start, sweeps(4, 2).advances
    ((0, 2), 4)
    """
    kept = [0]
    _climb(kept, links - 1, snapshots)
    start = tuple(kept)
    restored = [len(start)]
    before: list[tuple[Hop, ...]] = [()]
    for link in reversed(range(links - 1)):
        if kept[-1] > link:
            kept.pop()
        known = len(kept)
        _climb(kept, link, snapshots)
        restored.append(known - 1)
        before.append(_hops(kept, known, link, len(start)))
    return Sweeps(start, tuple(reversed(restored)), tuple(reversed(before)))


def _climb(kept: list[int], link: int, snapshots: int) -> None:
    """Add the states that are best kept on the way from the last one that is to a link."""
    while kept[-1] < link and len(kept) < snapshots:
        place = kept[-1] + split(link + 1 - kept[-1], snapshots - len(kept) + 1)
        if place == link:
            return
        kept.append(place)


def _hops(kept: list[int], known: int, link: int, none: int) -> tuple[Hop, ...]:
    """Return the hops from the last state that was known over the new ones to a link."""
    begins = kept[known - 1 :]
    ends = (*begins[1:], link)
    rows = (none, *range(known, len(kept)))
    return tuple(
        Hop(row, begin, end)
        for row, begin, end in zip(rows, begins, ends, strict=True)
        if begin < end
    )
