"""Simplification by the rules of `algebra`, `views`, `movement`, `positions` and `assembly`.

Each rule keeps dtype and shape, and the values bit for bit unless it says what it accepts: a zero
that changes its sign, rounding, or more exact results at the ends of the range.
"""

from __future__ import annotations

import numpy as np

from adgraph.ir.graph import Graph
from adgraph.ops.constant import stop_gradient
from adgraph.ops.least_squares import gram, least_squares, row_space
from adgraph.ops.matrix_functions import lu_factors, pinv
from adgraph.passes.algebra import ALGEBRA, settled_power
from adgraph.passes.assembly import ASSEMBLY
from adgraph.passes.factors import FACTORS
from adgraph.passes.movement import MOVEMENT
from adgraph.passes.positions import POSITIONS
from adgraph.passes.rewrite import Hits, Table, rewrite
from adgraph.passes.rules import LITERAL, Rule
from adgraph.passes.views import VIEWS

LOCAL = Table(VIEWS, MOVEMENT, POSITIONS, ALGEBRA)
FACTORED = Table(VIEWS, MOVEMENT, POSITIONS, ALGEBRA, FACTORS)
CHAINS = Table(ASSEMBLY)


def simplify(graph: Graph, hits: Hits | None = None) -> Graph:
    """Replace expressions by simpler ones of the same value."""
    plain = rewrite(graph, LOCAL, hits)
    joined = rewrite(plain, CHAINS, hits)
    return joined if joined is plain else rewrite(joined, LOCAL, hits)


def factor(graph: Graph, hits: Hits | None = None) -> Graph:
    """Simplify, and move factors that are the same along axes to where they are few.

    This hides a softmax and its like, which must have been found before.
    """
    return rewrite(graph, FACTORED, hits)


KNOWN = (pinv, lu_factors, least_squares, gram, row_space)
RELEASE = Table(
    (
        Rule("stop_gradient", (stop_gradient,), lambda site: site.args[0]),
        Rule("known result", KNOWN, lambda site: site.args[1]),
        Rule("settled power", (np.power,), settled_power, "rounding", LITERAL),
    )
)


def release(graph: Graph, hits: Hits | None = None) -> Graph:
    """Remove what only serves derivatives, such as `stop_gradient`: nothing is derived again."""
    return rewrite(graph, RELEASE, hits)
