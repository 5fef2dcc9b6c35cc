"""Loops that add nothing where a factor from outside is zero.

Cotangents of choices - the largest of a row, the nearest of some centres - are zero but for one row
in many. What is added to a sum is then a product that is zero wherever its first factor is, even if
the second is infinite (`multiply_no_nan`), and a row of such products need not be computed.
"""

from __future__ import annotations

from adgraph.lower.nest import Let, Load, Loop, Store

PRODUCT = "multiply_no_nan({0}, {1})"
SUM = "fold_add({0}, {1})"


def silencer(loop: Loop) -> str | None:
    """Return the scalar from outside a loop which, where it is zero, makes it add only zeros."""
    lets = {s.name: s for s in loop.body if isinstance(s, Let)}
    stores = [s for s in loop.body if isinstance(s, Store)]
    loads = {s.name: s.access for s in loop.body if isinstance(s, Load)}
    if loop.before or loop.after or not stores:
        return None
    if any(not isinstance(s, Let | Load | Store) for s in loop.body):
        return None
    factors: set[str | None] = set()
    for store in stores:
        total = lets.get(store.name)
        if store.add or total is None or total.text != SUM:
            return None
        if total.operands[0] != store.name or loads.get(store.name) != store.access:
            return None
        product = lets.get(total.operands[1])
        factors.add(product.operands[0] if product and product.text == PRODUCT else None)
    (factor, *others) = factors
    inside = lets.keys() | loads.keys()
    outside = factor is not None and factor.isidentifier() and factor not in inside
    return factor if outside and not others else None
