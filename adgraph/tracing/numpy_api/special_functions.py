"""Functions of `scipy.special` that are more than one op, or Python functions around a ufunc.

Every result of a ufunc with several is an op of its own; orthogonal polynomials have one for
integer and one for real orders. The Python functions are met in rewritten calls.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from adgraph.ir.op import Op
from adgraph.ops import special_bessel as bessel
from adgraph.ops import special_distributions as _distributions  # noqa: F401 - registers ops
from adgraph.ops import special_elliptic as elliptic
from adgraph.ops import special_gamma as gammas
from adgraph.ops import special_hypergeometric as hypergeometric
from adgraph.ops import special_integrals as integrals
from adgraph.ops import special_waves as waves
from adgraph.ops.complex_numbers import make_complex
from adgraph.ops.kinds import resolve_dtypes
from adgraph.ops.scipy_special import Special, special
from adgraph.ops.special_loops import UNDERIVABLE
from adgraph.tracing.numpy_api.creation import nested_array
from adgraph.tracing.numpy_api.elementwise import record
from adgraph.tracing.numpy_api.shape import strong
from adgraph.tracing.numpy_api.special import records
from adgraph.tracing.numpy_api.table import CONSTANT, implements, refuse
from adgraph.tracing.tracer import as_tracer, emit, promotion

# --- ufuncs of several results --------------------------------------------------------------------

SEVERAL: dict[Special, Sequence[Op]] = {
    special.airy: (bessel.airy_ai, bessel.airy_aip, bessel.airy_bi, bessel.airy_bip),
    special.airye: (bessel.airye_ai, bessel.airye_aip, bessel.airye_bi, bessel.airye_bip),
    special.itairy: bessel.itairy,
    special.itj0y0: bessel.itj0y0,
    special.iti0k0: bessel.iti0k0,
    special.it2j0y0: bessel.it2j0y0,
    special.it2i0k0: bessel.it2i0k0,
    special.fresnel: (integrals.fresnel_s, integrals.fresnel_c),
    special.sici: (integrals.sici_si, integrals.sici_ci),
    special.shichi: (integrals.shichi_shi, integrals.shichi_chi),
    special.ellipj: (
        elliptic.ellipj_sn,
        elliptic.ellipj_cn,
        elliptic.ellipj_dn,
        elliptic.ellipj_ph,
    ),
    **{getattr(special, name): ops for name, ops in waves.WAVES.items()},
}


def _several(ufunc: Special, ops: Sequence[Op]) -> None:
    @implements(ufunc)
    def apply(*operands: Any) -> Any:
        function: Any = ufunc.function
        return tuple(record(function, op, *operands) for op in ops)


for _ufunc, _ops in SEVERAL.items():
    _several(_ufunc, _ops)


def _joined(real: Any, imag: Any) -> Any:
    return emit(make_complex, (real, imag), {})


@implements(special.kelvin)
def kelvin(x: Any) -> Any:
    """Join the real and imaginary parts, which are ufuncs with more loops."""
    x = as_tracer(x, resolve_dtypes(special.kelvin, "kelvin", (promotion(x),))[0])
    pairs = (
        (special.ber, special.bei),
        (special.ker, special.kei),
        (special.berp, special.beip),
        (special.kerp, special.keip),
    )
    return tuple(_joined(real(x), imag(x)) for real, imag in pairs)


def _modified_fresnel(ufunc: Special, parts: Sequence[tuple[Op, Op]]) -> None:
    @implements(ufunc)
    def apply(x: Any) -> Any:
        function: Any = ufunc.function
        return tuple(_joined(record(function, a, x), record(function, b, x)) for a, b in parts)


_modified_fresnel(special.modfresnelp, integrals.modfresnelp)
_modified_fresnel(special.modfresnelm, integrals.modfresnelm)

# --- orthogonal polynomials -----------------------------------------------------------------------


def _polynomial(ufunc: Special, of_integer: Op, of_real: Op | None) -> None:
    @implements(ufunc)
    def apply(*operands: Any) -> Any:
        order = resolve_dtypes(ufunc, ufunc.__name__, tuple(map(promotion, operands)))[0]
        return record(ufunc, of_real if of_real and order.kind == "f" else of_integer, *operands)


for _family, (_of_integer, _of_real) in hypergeometric.POLYNOMIALS.items():
    _polynomial(_family, _of_integer, _of_real)

# --- Python functions around a ufunc --------------------------------------------------------------


@records(special.lambertw)
def lambertw(z: Any, k: Any = 0, tol: Any = 1e-8) -> Any:
    order = as_tracer(nested_array(k), np.int64)
    return integrals.lambertw(as_tracer(z, np.complex128), order, as_tracer(float(tol)))


@records(special.zeta)
def zeta(x: Any, q: Any = None, out: Any = None) -> Any:
    refuse("scipy.special.zeta", out=out)
    if q is None:
        return record(special._riemann_zeta, gammas.riemann_zeta, nested_array(x))
    return record(special._zeta, gammas.zeta, nested_array(x), nested_array(q))


@records(special.multigammaln)
def multigammaln(a: Any, d: Any) -> Any:
    shifts = np.arange(d) / -2.0
    array: Any = as_tracer(nested_array(a))
    return np.sum(special.gammaln(array[..., None] + shifts), axis=-1) + 0.25 * d * (
        d - 1
    ) * math.log(math.pi)


@records(special.comb)
def comb(
    N: Any,  # noqa: N803  SciPy's name
    k: Any,
    *,
    exact: bool = False,
    repetition: bool = False,
) -> Any:
    refuse("scipy.special.comb", exact=exact)
    n = as_tracer(nested_array(N))
    if repetition:
        return comb(n + k - 1, k)
    k = as_tracer(nested_array(k))
    return np.where((k <= n) & (n >= 0) & (k >= 0), special.binom(n, k), 0.0)


@records(special.perm)
def perm(N: Any, k: Any, exact: bool = False) -> Any:  # noqa: N803  SciPy's name
    refuse("scipy.special.perm", exact=exact)
    n, k = as_tracer(nested_array(N)), as_tracer(nested_array(k))
    return np.where((k <= n) & (n >= 0) & (k >= 0), special.poch(n - k + 1.0, k), 0.0)


def _spherical(name: str, op: Op) -> None:
    @records(getattr(special, name))
    def apply(n: Any, z: Any, derivative: bool = False) -> Any:
        ufunc = getattr(special, f"_{name}")
        order = as_tracer(nested_array(n), np.int64)
        if not derivative:
            return record(ufunc, op, order, z)
        assert op.partials is not None
        return op.partials(record(ufunc, op, order, z), order, strong(as_tracer(z)))[1]


for _name, _op in (
    ("spherical_jn", bessel.spherical_jn),
    ("spherical_yn", bessel.spherical_yn),
    ("spherical_in", bessel.spherical_in),
    ("spherical_kn", bessel.spherical_kn),
):
    _spherical(_name, _op)

# --- what has no derivative by any operand --------------------------------------------------------

CONSTANT.update(UNDERIVABLE)
