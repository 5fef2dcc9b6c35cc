"""Rules about arrays of positions: the table `POSITIONS`.

The ops of `adgraph.ops.indexing` wrap and check the positions that they use, so that no array of
checked ones need be made for them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adgraph.ops.indexing import index_add, put, scatter_add, take, wrap_index
from adgraph.ops.shape import add_at, update
from adgraph.passes.rules import Rule, Site

WRITES = (put, index_add, update, add_at)


def _checked_where_read(site: Site) -> Any:
    """Read positions before they were wrapped; an op without elements would not check them."""
    *operands, positions = site.args
    checked = site.made(positions, wrap_index)
    if checked is None or 0 in site.type.shape:
        return None
    given, attrs = checked.args[0], site.attrs
    extent = attrs["extent"] if "extent" in attrs else operands[0].shape[attrs["axis"]]
    if checked.attrs["extent"] != extent or not np.can_cast(given.dtype, np.int64):
        return None
    return site.op(*operands, given, **site.attrs)


def _checked_where_written(site: Site) -> Any:
    """The same for a write, but not in a chain: what fails in the kernel of one has many lines."""
    chained = site.made(site.args[0], *WRITES) is not None
    if chained or any(op in WRITES and at == 0 for op, at in site.readers):
        return None
    return _checked_where_read(site)


POSITIONS = (
    Rule("checked where read", (take, scatter_add), _checked_where_read),
    Rule("checked where written", (put, index_add), _checked_where_written),
)
