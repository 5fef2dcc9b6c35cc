"""The functions of `scipy.special` and `scipy.linalg` by name: SciPy is imported when one is used.

SciPy takes longer to import than a small program to compile. So the tables of ops and of the NumPy
interface hold `special.erf` and `linalg.expm` of this module; `stand_in` finds it for the function
of SciPy that a user's program calls.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from adgraph.ir.op import OPS, Traced

MODULE = "scipy.special"
UFUNCS = "scipy.special._ufuncs"  # where it keeps densities and other ufuncs for itself:
PRIVATE = (
    *("_beta_pdf", "_igam_fac", "_kolmogp", "_lambertw", "_ncf_pdf", "_nct_pdf", "_ncx2_pdf"),
    *("_riemann_zeta", "_smirnovp", "_spherical_", "_zeta"),
)
_REALS = (np.dtype(np.float32), np.dtype(np.float64))
_WIDTHS: dict[str, np.dtype[Any]] = {"f": _REALS[0], "d": _REALS[1], "F": _REALS[0], "D": _REALS[1]}
_COMPLEX = frozenset({"hankel1", "hankel1e", "hankel2", "hankel2e", "wofz"})  # no real loops


class Special:
    """A function of SciPy; of traced arguments it records the op of its name.

    >>> float(special.expit(0.0))
    0.5
    """

    nout = 1

    def __init__(self, name: str, module: str) -> None:
        self.__name__ = name
        self.module = module

    def __repr__(self) -> str:
        return f"<{self.module}.{self.__name__}>"

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The function itself."""
        found: Any = importlib.import_module(self.module)
        for name in self.__name__.split("."):
            found = getattr(found, name)
        function: Callable[..., Any] = found
        return function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the function, or record it; a ufunc of numbers and traced arrays is NumPy's."""
        traced = [isinstance(x, Traced) for x in args]
        alike = all(traced) and len({x.type.dtype for x in args}) == 1
        if alike and self.__name__ in OPS:
            return OPS[self.__name__](*args, **kwargs)
        if any(traced) and not isinstance(self.function, np.ufunc):
            return OPS[self.__name__](*args, **kwargs)
        return self.function(*_in_width(args), **kwargs)

    def resolve_dtypes(self, dtypes: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the dtypes of the loop of a ufunc; most have one of float32 and one of float64."""
        given = {dtype for dtype in dtypes if dtype is not None}
        for real in _REALS:
            if given == {real} and self.__name__ not in _COMPLEX:
                return (real,) * len(dtypes)
        function: Any = self.function
        resolved: tuple[Any, ...] = function.resolve_dtypes(dtypes)
        return resolved


def _in_width(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give Python floats the width of the traced operands: SciPy takes the widest loop first."""
    dtypes = {x.type.dtype.char for x in args if isinstance(x, Traced)}
    real = _WIDTHS.get(dtypes.pop()) if len(dtypes) == 1 else None
    if real is None:
        return args
    return tuple(np.asarray(x, real) if type(x) is float else x for x in args)


class _Names:
    """Gives the one `Special` of every name; `found` has those by the functions they stand for."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.known: dict[str, Special] = {}
        self.found: dict[Any, Special] = {}

    def __getattr__(self, name: str) -> Special:
        if name.startswith("_") and not name.startswith(PRIVATE):
            raise AttributeError(name)
        module = UFUNCS if name.startswith("_") else self.module
        return self.known.setdefault(name, Special(name, module))


special = _Names(MODULE)
linalg = _Names("scipy.linalg")
fft = _Names("scipy.fft")
integrate = _Names("scipy.integrate")
signal = _Names("scipy.signal")
stats = _Names("scipy.stats")
ALL = (special, linalg, fft, integrate, signal, stats)


def stand_in(function: Any) -> Any:
    """Return the `Special` of a function of SciPy that a table may hold; others are themselves."""
    for names in ALL:
        if not names.found and names.module in sys.modules:
            names.found.update({item.function: item for item in names.known.values()})
        if function in names.found:
            return names.found[function]
    return function
