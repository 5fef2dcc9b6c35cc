"""adgraph: a graph compiler for derivatives of plain NumPy code.

>>> import numpy as np
>>> from adgraph import trace
>>> @trace
... def energy(x, k):
...     r = x[1:] - x[:-1]
...     return 0.5 * np.sum(k * r**2)
>>> energy.grad(np.array([0.0, 1.0, 3.0]), 2.0)
array([-2., -2.,  4.])
"""

from adgraph import numpy, random
from adgraph.api import (
    Function,
    checkpoint,
    checkpoint_name,
    checkpoint_policies,
    cond,
    fori_loop,
    grad,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    linearize,
    map,
    name,
    scan,
    stop_gradient,
    trace,
    value_and_grad,
    vjp,
    while_loop,
)
from adgraph.draw import draw
from adgraph.version import __version__

__all__ = [
    "Function",
    "__version__",
    "checkpoint",
    "checkpoint_name",
    "checkpoint_policies",
    "cond",
    "draw",
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
    "numpy",
    "random",
    "scan",
    "stop_gradient",
    "trace",
    "value_and_grad",
    "vjp",
    "while_loop",
]
