"""Reversals of chains with few snapshots: against the values of the paper, and a recursion."""

from __future__ import annotations

from functools import cache

import pytest

from adgraph.analysis.revolve import advances, split, sweeps

LINKS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 50, 100, 1000)
COUNTS = {
    1: (1, 3, 6, 10, 15, 28, 45, 66, 120, 190, 1225, 4950, 499500),
    2: (1, 2, 4, 6, 8, 14, 20, 28, 45, 65, 285, 845, 28820),
    3: (1, 2, 3, 5, 7, 11, 15, 21, 33, 45, 180, 490, 12155),
    5: (1, 2, 3, 4, 5, 9, 13, 17, 25, 33, 122, 316, 6284),
    10: (1, 2, 3, 4, 5, 7, 9, 12, 20, 28, 88, 222, 3636),
}
LONG = {3: 31374, 5: 14997, 8: 9998, 15: 7031, 30: 5472, 60: 4047}  # of 2000 links


@cache
def fewest(links: int, snapshots: int) -> int:
    """The least number of advances, by trying every place of the next snapshot."""
    if links < 2:
        return 0
    if snapshots == 1:
        return links * (links - 1) // 2
    return min(
        place + fewest(links - place, snapshots - 1) + fewest(place, snapshots)
        for place in range(1, links)
    )


@pytest.mark.parametrize("snapshots", COUNTS)
def test_advances_are_those_of_the_paper(snapshots: int) -> None:
    assert tuple(advances(n, snapshots) for n in LINKS) == COUNTS[snapshots]


@pytest.mark.parametrize("snapshots", COUNTS)
def test_sweeps_advance_as_often_as_they_must(snapshots: int) -> None:
    assert tuple(sweeps(n, snapshots).advances for n in LINKS) == COUNTS[snapshots]


@pytest.mark.parametrize("snapshots", LONG)
def test_a_long_chain_advances_as_often_as_it_must(snapshots: int) -> None:
    assert advances(2000, snapshots) == sweeps(2000, snapshots).advances == LONG[snapshots]


@pytest.mark.parametrize("snapshots", range(1, 8))
@pytest.mark.parametrize("links", range(1, 36))
def test_no_other_places_of_snapshots_are_better(links: int, snapshots: int) -> None:
    assert advances(links, snapshots) == fewest(links, snapshots)
    assert sweeps(links, snapshots).advances == fewest(links, snapshots)


@pytest.mark.parametrize("snapshots", range(1, 8))
@pytest.mark.parametrize("links", range(1, 36))
def test_every_link_finds_its_state(links: int, snapshots: int) -> None:
    made = sweeps(links, snapshots)
    rows, under_way = list(made.start), links - 1
    assert len(rows) <= snapshots
    for link in reversed(range(links)):
        if made.restored[link] < len(rows):
            under_way = rows[made.restored[link]]
        for hop in made.before[link]:
            assert under_way == hop.begin
            if hop.row < len(rows):
                rows[hop.row] = under_way
            under_way = hop.end
        assert under_way == link


@pytest.mark.parametrize(("links", "snapshots"), [(10, 3), (100, 5), (1000, 10), (7, 9)])
def test_a_split_is_the_last_of_the_best_places(links: int, snapshots: int) -> None:
    def cost(place: int) -> int:
        rest = advances(links - place, snapshots - 1)
        return place + rest + advances(place, snapshots)

    best = min(map(cost, range(1, links)))
    assert split(links, snapshots) == max(p for p in range(1, links) if cost(p) == best)
