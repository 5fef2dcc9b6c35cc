"""Samples of the special functions that run as inner loops of SciPy: families, summed.

Parameters by which there is no derivative are numbers in a row; tests/numpy_api/test_special.py has
the single functions at hard points.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import special

from adgraph.ops.scipy_special import special as inner
from adgraph.ops.special_loops import WIDE
from tests.samples.elementwise import ANY, POSITIVE, smooth, uniform
from tests.samples.sample import Sample

UNIT = (0.2, 0.8)
ABOVE = (1.2, 2.5)
Term = Callable[[Any], Any]


def _family(
    name: str, interval: tuple[float, float], ops: str, *terms: Term, single: bool = True
) -> Sample:
    """Return the row of a sum of functions of one argument; SciPy's float32 loops may fail.

    Functions that SciPy has of real numbers only are left out of a sum of complex ones.
    """

    def total(x: Any) -> Any:
        result: Any = 0.0
        wide = x.dtype.kind == "c" and not all(map(_refused, terms))
        for i, term in enumerate(terms):
            if wide and _refused(term):
                continue
            values = term(x)
            for value in values if isinstance(values, tuple) else (values,):
                result = result + (1.0 + 0.1 * i) * value
        return result

    row = smooth(name, total, interval, analytic=False, ops=tuple(ops.split()), exact=False)
    return row if single else replace(row, dtypes=("f8",))


@functools.cache
def _refused(term: Term) -> bool:
    """Tell whether SciPy has no loop for complex numbers."""
    try:
        term(np.array([0.5 + 0.1j]))
    except TypeError:
        return True
    return False


def _scaled(row: Sample) -> Sample:
    """State that the scaling, by the modulus of an exponential, is not holomorphic."""
    return replace(row, skip={"derivatives of complex": "there is no complex derivative"})


def _of(name: str, *parameters: Any) -> Term:
    """Return a function of its last operand."""
    function = getattr(special, name)
    return lambda x: function(*parameters, x)


def _all(names: str, *parameters: Any) -> tuple[Term, ...]:
    return tuple(_of(name, *parameters) for name in names.split())


def _parts(name: str) -> Term:
    function = getattr(special, name)
    return lambda x: tuple(part for z in function(x) for part in (np.real(z), np.imag(z)))


def _polynomials(order: Any) -> tuple[Term, ...]:
    plain = "legendre sh_legendre chebyt chebyu chebyc chebys sh_chebyt sh_chebyu laguerre"
    return (
        *(_of(f"eval_{name}", order) for name in plain.split()),
        _of("eval_gegenbauer", order, 1.3),
        _of("eval_genlaguerre", order, 1.3),
        _of("eval_jacobi", order, 1.3, 0.5),
        _of("eval_sh_jacobi", order, 3.3, 1.5),
    )


def _polynomial_ops(suffix: str) -> str:
    names = (
        "legendre sh_legendre chebyt chebyu chebyc chebys sh_chebyt sh_chebyu laguerre gegenbauer "
        "genlaguerre jacobi sh_jacobi"
    )
    return " ".join(f"eval_{name}{suffix}" for name in names.split())


def _waves(names: str) -> str:
    return " ".join(f"{name}_{part}" for name in names.split() for part in ("value", "slope"))


def _flat(name: str, given: tuple[Any, ...]) -> Sample:
    """Return the row of a function of whose derivative the laws know nothing."""

    def function(x: Any) -> Any:
        return getattr(inner, name).function(*given, x)

    return Sample(
        name=name.strip("_"),
        ops=(name.strip("_"),),
        function=function,
        make=uniform(UNIT),
        differentiable=False,
        exact=False,
        dtypes=("f8",) if name in WIDE else ("f8", "f4"),  # SciPy's own loops may never end
        skip={"zero": "to ask for a derivative is an error"},
    )


def _spherical(n: int) -> tuple[Term, ...]:
    functions = [getattr(inner, f"_spherical_{kind}").function for kind in ("jn", "yn", "in", "kn")]
    return tuple(functools.partial(function, n) for function in functions)


PROLATE = float(special.pro_cv(1, 2, 1.5))
OBLATE = float(special.obl_cv(1, 2, 1.5))
UNDERIVABLE = {
    "bdtrik": (0.4, 7.0),
    "bdtrin": (2.0, 0.4),
    "btdtria": (0.4, 2.0),
    "btdtrib": (2.0, 0.4),
    "chndtridf": (3.0, 0.4),
    "fdtridfd": (3.0, 0.4),
    "gdtrib": (1.5, 0.4),
    "nbdtrik": (0.4, 3.0),
    "nbdtrin": (2.0, 0.4),
    "nctdtridf": (0.7, 0.3),
    "nctdtrinc": (4.0, 0.4),
    "chdtriv": (0.4,),
    "mathieu_a": (2.0,),
    "mathieu_b": (2.0,),
    "pdtrik": (0.4,),
    "stdtridf": (0.7,),
    "ncfdtridfd": (3.0, 0.4, 0.5),
    "ncfdtridfn": (0.4, 5.0, 0.5),
    "pro_cv": (1.0, 2.0),
    "obl_cv": (1.0, 2.0),
    "zetac": (),
    "_riemann_zeta": (),
    # Of these there are first derivatives only (tests/numpy_api/test_special.py), or SciPy inverts
    # them to few digits.
    "smirnov": (5,),
    "smirnovi": (5,),
    "_smirnovp": (5,),
    "nctdtr": (4.0, 1.5),
    "nctdtrit": (4.0, 1.5),
    "_nct_pdf": (0.3, 4.0),
    "ncfdtr": (3.0, 5.0, 1.5),
    "ncfdtri": (3.0, 5.0, 1.5),
    "ncfdtrinc": (3.0, 5.0, 0.3),
    "_ncf_pdf": (0.3, 3.0, 5.0),
    "chndtrinc": (3.0, 4.0),
}

SAMPLES = [
    # gamma
    _family("gamma and relatives", POSITIVE, "loggamma rgamma", *_all("loggamma rgamma")),
    smooth("binom", special.binom, (5.0, 7.0), (1.0, 3.0), analytic=False, exact=False),
    smooth("poch", special.poch, (1.0, 3.0), (0.5, 2.0), analytic=False, exact=False),
    _family(
        "incomplete gamma",
        POSITIVE,
        "gammainc gammaincc igam_fac",
        *_all("gammainc gammaincc", 1.7),
    ),
    _family(
        "inverse incomplete gamma",
        UNIT,
        "gammaincinv gammainccinv",
        *_all("gammaincinv gammainccinv", 1.7),
    ),
    _family(
        "incomplete beta", UNIT, "betainc betaincc beta_pdf", *_all("betainc betaincc", 2.0, 3.5)
    ),
    _family(
        "inverse incomplete beta",
        UNIT,
        "betaincinv betainccinv",
        *_all("betaincinv betainccinv", 2.0, 3.5),
    ),
    _family("zeta", POSITIVE, "zeta", lambda x: inner._zeta.function(2.5, x)),
    # integrals
    _family(
        "exponential integrals",
        POSITIVE,
        "dawsn erfi exp1 expi expn sici_si sici_ci shichi_shi shichi_chi spence",
        *_all("dawsn erfi exp1 expi sici shichi spence"),
        *(_of("expn", n) for n in (0, 1, 3)),
    ),
    _family(
        "integrals of sines",
        POSITIVE,
        "fresnel_s fresnel_c "
        + " ".join(
            f"modfresnel{s}_{f}_{part}" for s in "pm" for f in "FK" for part in ("real", "imag")
        ),
        _of("fresnel"),
        *(_parts(f"modfresnel{sign}") for sign in "pm"),
        single=False,
    ),
    smooth("voigt_profile", special.voigt_profile, ANY, ABOVE, UNIT, analytic=False),
    smooth("owens_t", special.owens_t, ANY, ANY, analytic=False),
    _family("ndtri_exp", (-5.0, -0.5), "ndtri_exp", _of("ndtri_exp")),
    _family(
        "elementary functions of SciPy",
        UNIT,
        "exp10 cosm1 exprel wrightomega",
        *_all("exp10 cosm1 exprel wrightomega"),
    ),
    _family(
        "functions of degrees",
        (20.0, 70.0),
        "sindg cosdg tandg cotdg",
        *_all("sindg cosdg tandg cotdg"),
    ),
    smooth("radian", special.radian, ANY, ANY, ANY, analytic=False),
    smooth("agm", special.agm, POSITIVE, POSITIVE, analytic=False),
    smooth("powm1", special.powm1, POSITIVE, POSITIVE, analytic=False),
    smooth("boxcox", special.boxcox, POSITIVE, ANY, analytic=False),
    smooth("boxcox1p", special.boxcox1p, POSITIVE, ANY, analytic=False),
    smooth("inv_boxcox", special.inv_boxcox, POSITIVE, UNIT, analytic=False),
    smooth("inv_boxcox1p", special.inv_boxcox1p, POSITIVE, UNIT, analytic=False),
    smooth("tklmbda", special.tklmbda, UNIT, UNIT, analytic=False),
    smooth(
        "lambertw",
        lambda x: np.real(inner._lambertw.function(x + 0.5j, 0, 1e-8)),
        POSITIVE,
        analytic=False,
    ),
    smooth("wofz", lambda x: np.imag(special.wofz(x + 0.5j)), POSITIVE, analytic=False),
    # elliptic
    smooth("elliprf", special.elliprf, POSITIVE, POSITIVE, POSITIVE, analytic=False),
    smooth("elliprc", special.elliprc, POSITIVE, POSITIVE, analytic=False),
    smooth("elliprg", special.elliprg, POSITIVE, POSITIVE, POSITIVE, analytic=False),
    smooth("elliprd", special.elliprd, POSITIVE, POSITIVE, POSITIVE, analytic=False),
    smooth(
        "elliprj",
        lambda x, y, z: special.elliprj(x, y, z, 3.5 + x * y),
        POSITIVE,
        POSITIVE,
        POSITIVE,
        analytic=False,
    ),
    _family(
        "complete elliptic integrals",
        UNIT,
        "ellipk ellipe ellipkm1",
        *_all("ellipk ellipe ellipkm1"),
    ),
    smooth("ellipkinc", special.ellipkinc, ANY, UNIT, analytic=False),
    smooth("ellipeinc", special.ellipeinc, ANY, UNIT, analytic=False),
    smooth(
        "ellipj",
        lambda u, m: sum((i + 1.0) * y for i, y in enumerate(special.ellipj(u, m))),
        ANY,
        UNIT,
        analytic=False,
        ops=("ellipj_sn", "ellipj_cn", "ellipj_dn", "ellipj_ph"),
        exact=False,
    ),
    # Bessel
    _family(
        "Bessel functions",
        POSITIVE,
        "jv yv iv kv kve kn yn y0 y1 k0 k1 k0e k1e",
        *_all("jv yv iv kv kve", 1.5),
        *_all("kn yn", 2),
        *_all("y0 y1 k0 k1 k0e k1e"),
    ),
    _scaled(_family("scaled Bessel functions", POSITIVE, "jve yve ive", *_all("jve yve ive", 1.5))),
    _family("besselpoly", ABOVE, "besselpoly", lambda a: special.besselpoly(a, 1.0, 2.0)),
    smooth(
        "hankel",
        lambda x: np.imag(
            special.hankel1(1.5, x + 0j)
            + special.hankel2(2.5, x + 1j)
            + special.hankel1e(1.5, x + 1j)
            + special.hankel2e(1.5, x - 1j)
        ),
        POSITIVE,
        analytic=False,
        ops=("hankel1", "hankel2", "hankel1e", "hankel2e"),
        exact=False,
    ),
    _family(
        "spherical Bessel functions",
        POSITIVE,
        "spherical_jn spherical_yn spherical_in spherical_kn",
        *_spherical(2),
    ),
    _family(
        "Airy functions",
        POSITIVE,
        "airy_ai airy_aip airy_bi airy_bip airye_ai airye_aip",
        *_all("airy"),
        lambda x: special.airye(x)[:2],
    ),
    _scaled(
        _family(
            "scaled Airy functions of the second kind",
            POSITIVE,
            "airye_bi airye_bip",
            lambda x: special.airye(x)[2:],
        )
    ),
    _family(
        "integrals of Airy functions",
        UNIT,
        "itairy_apt itairy_bpt itairy_ant itairy_bnt",
        _of("itairy"),
    ),
    _family(
        "Kelvin functions",
        POSITIVE,
        "ber bei ker kei berp beip kerp keip",
        *_all("ber bei ker kei berp beip kerp keip"),
        _parts("kelvin"),
    ),
    _family(
        "Struve functions",
        POSITIVE,
        "struve modstruve itstruve0 it2struve0 itmodstruve0",
        *_all("struve modstruve", 1.5),
        *_all("itstruve0 it2struve0 itmodstruve0"),
    ),
    _family(
        "integrals of Bessel functions",
        POSITIVE,
        "itj0y0_j itj0y0_y iti0k0_i iti0k0_k it2j0y0_j it2j0y0_y it2i0k0_i it2i0k0_k",
        *_all("itj0y0 iti0k0 it2j0y0 it2i0k0"),
    ),
    # hypergeometric
    _family(
        "hypergeometric functions",
        UNIT,
        "hyp0f1 hyp1f1 hyp2f1 hyperu wright_bessel log_wright_bessel lpmv",
        _of("hyp0f1", 1.5),
        *_all("hyp1f1 hyperu wright_bessel log_wright_bessel", 0.5, 1.5),
        _of("hyp2f1", 0.5, 1.5, 2.2),
        _of("lpmv", 1.0, 3.0),
    ),
    _family(
        "polynomials of integer orders",
        UNIT,
        _polynomial_ops("_of_integer") + " eval_hermite_of_integer eval_hermitenorm_of_integer",
        *_polynomials(4),
        *_all("eval_hermite eval_hermitenorm", 4),
    ),
    _family("polynomials of real orders", UNIT, _polynomial_ops("_of_real"), *_polynomials(2.5)),
    # distributions
    _family(
        "distributions of counts",
        UNIT,
        "bdtr bdtrc bdtri nbdtr nbdtrc nbdtri pdtr pdtrc pdtri",
        *_all("bdtr bdtrc bdtri", 2.0, 5),
        *_all("nbdtr nbdtrc nbdtri", 2, 3),
        *_all("pdtr pdtrc pdtri", 2),
        single=False,
    ),
    _family(
        "continuous distributions",
        UNIT,
        "chdtr chdtrc chdtri fdtr fdtrc fdtri stdtr stdtrit",
        *_all("chdtr chdtrc chdtri stdtr stdtrit", 3.0),
        *_all("fdtr fdtrc fdtri", 3.0, 5.0),
    ),
    smooth("gdtr", lambda a, x: special.gdtr(a, 2.5, x), POSITIVE, POSITIVE, analytic=False),
    smooth("gdtrc", lambda a, x: special.gdtrc(a, 2.5, x), POSITIVE, POSITIVE, analytic=False),
    smooth("gdtria", lambda p, x: special.gdtria(p, 2.5, x), UNIT, POSITIVE, analytic=False),
    smooth("gdtrix", lambda a, p: special.gdtrix(a, 2.5, p), POSITIVE, UNIT, analytic=False),
    smooth(
        "chndtr",
        lambda x, nc: special.chndtr(x, 4.0, nc),
        ABOVE,
        POSITIVE,
        analytic=False,
        ops=("chndtr", "ncx2_pdf"),
    ),
    smooth(
        "chndtrix",
        lambda p, nc: special.chndtrix(p, 4.0, nc),
        UNIT,
        POSITIVE,
        analytic=False,
        ops=("chndtrix", "ncx2_pdf"),
    ),
    smooth("nrdtrimn", special.nrdtrimn, UNIT, ABOVE, ANY, analytic=False),
    smooth("nrdtrisd", special.nrdtrisd, ANY, (0.6, 0.9), (4.0, 5.0), analytic=False),
    _family(
        "Kolmogorov's distribution",
        (0.6, 1.6),
        "kolmogorov kolmogp",
        _of("kolmogorov"),
    ),
    _family("kolmogi", UNIT, "kolmogi", _of("kolmogi")),
    # waves
    _family(
        "parabolic cylinder functions",
        UNIT,
        _waves("pbdv pbvv pbwa"),
        *_all("pbdv pbvv pbwa", 1.5),
    ),
    _family(
        "Mathieu functions",
        UNIT,
        _waves(
            "mathieu_cem mathieu_sem mathieu_modcem1 mathieu_modcem2 "
            "mathieu_modsem1 mathieu_modsem2"
        ),
        lambda x: special.mathieu_cem(2.0, 1.5, 50.0 * x),
        lambda x: special.mathieu_sem(2.0, 1.5, 50.0 * x),
        *_all("mathieu_modcem1 mathieu_modcem2 mathieu_modsem1 mathieu_modsem2", 2.0, 1.5),
        single=False,
    ),
    _family(
        "spheroidal functions inside",
        UNIT,
        _waves("pro_ang1 obl_ang1 obl_rad1 pro_ang1_cv obl_ang1_cv obl_rad1_cv"),
        *_all("pro_ang1 obl_ang1 obl_rad1", 1.0, 2.0, 1.5),
        _of("pro_ang1_cv", 1.0, 2.0, 1.5, PROLATE),
        *_all("obl_ang1_cv obl_rad1_cv", 1.0, 2.0, 1.5, OBLATE),
        single=False,
    ),
    _family(
        "spheroidal functions outside",
        (2.0, 2.5),
        _waves("pro_rad1 pro_rad2 obl_rad2 pro_rad1_cv pro_rad2_cv obl_rad2_cv"),
        *_all("pro_rad1 pro_rad2 obl_rad2", 1.0, 2.0, 1.5),
        *_all("pro_rad1_cv pro_rad2_cv", 1.0, 2.0, 1.5, PROLATE),
        _of("obl_rad2_cv", 1.0, 2.0, 1.5, OBLATE),
        single=False,
    ),
    # without derivatives
    Sample(
        name="gammasgn",
        ops=("gammasgn",),
        function=special.gammasgn,
        make=uniform(ANY),
        differentiable=False,
    ),
    *(_flat(name, given) for name, given in UNDERIVABLE.items()),
]
