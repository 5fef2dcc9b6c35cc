"""The public functions: `trace`, and the derivatives of traced functions.

A `Function` is what `@trace` returns. Every derivative of it is a `Function` again: a Python
function that traces its subject, transforms the graph and emits the result, so derivatives nest
without limit and compile like any other program. Signatures are JAX's. Begin with `function`.
"""

from adgraph.api import checkpoint_policies
from adgraph.api.function import Bound, Function, trace
from adgraph.api.gradient import grad, value_and_grad
from adgraph.api.jacobian import hessian, hvp, jacfwd, jacobian, jacrev
from adgraph.api.linear import jvp, linearize, vjp
from adgraph.api.loops import cond, fori_loop, map, scan, while_loop
from adgraph.api.marks import checkpoint, checkpoint_name, name, stop_gradient

__all__ = [
    "Bound",
    "Function",
    "checkpoint",
    "checkpoint_name",
    "checkpoint_policies",
    "cond",
    "fori_loop",
    "grad",
    "hessian",
    "hvp",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jvp",
    "linearize",
    "map",
    "name",
    "scan",
    "stop_gradient",
    "trace",
    "value_and_grad",
    "vjp",
    "while_loop",
]
