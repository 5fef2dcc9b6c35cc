"""The least cut of a network: Dinic's algorithm (E. A. Dinic, Soviet Math. Dokl. 11, 1970).

A network is a dictionary from edges to whole capacities. Begin with `minimum_cut`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

Node = Any  # whatever is hashable
Edge = tuple[Node, Node]
Room = dict[Node, dict[Node, int]]  # what an edge can still carry, either way


def minimum_cut(capacities: Mapping[Edge, int], source: Node, sink: Node) -> set[Node]:
    """Return the nodes on the source's side of the least cut; of several, of the last one.

    >>> minimum_cut({("s", "a"): 3, ("a", "b"): 1, ("b", "t"): 2}, "s", "t") == {"s", "a"}
    True
    """
    room: Room = {source: {}, sink: {}}
    for (start, end), capacity in capacities.items():
        room.setdefault(start, {})[end] = capacity
        room.setdefault(end, {}).setdefault(start, 0)
    while True:
        distances = _distances(room, sink)
        if source not in distances:
            return room.keys() - distances.keys()
        _fill(room, distances, source, sink)


def _distances(room: Room, sink: Node) -> dict[Node, int]:
    """Count the edges from every node that reaches the sink, on a shortest way with room."""
    distances = {sink: 0}
    front = [sink]
    while front:
        reached = []
        for end in front:
            for start in room[end]:
                if start not in distances and room[start][end]:
                    distances[start] = distances[end] + 1
                    reached.append(start)
        front = reached
    return distances


def _fill(room: Room, distances: Mapping[Node, int], source: Node, sink: Node) -> None:
    """Fill all shortest ways from the source to the sink."""
    untried = {node: list(room[node]) for node in distances}
    path = [source]
    while path:
        here = path[-1]
        if here == sink:
            _push(room, path)
            path = [source]
        elif not untried[here]:
            path.pop()
            if path:
                untried[path[-1]].pop()
        elif _leads(room, distances, here, untried[here][-1]):
            path.append(untried[here][-1])
        else:
            untried[here].pop()


def _leads(room: Room, distances: Mapping[Node, int], here: Node, there: Node) -> bool:
    return bool(room[here][there]) and distances.get(there) == distances[here] - 1


def _push(room: Room, path: list[Node]) -> None:
    """Send along a path as much as its narrowest edge takes."""
    flow = min(room[start][end] for start, end in pairwise(path))
    for start, end in pairwise(path):
        room[start][end] -= flow
        room[end][start] += flow
