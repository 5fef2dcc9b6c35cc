"""Functions of `scipy.special` by the inner loops of its ufuncs: which there are, and ops of them.

`LOOPS` lists the ufuncs by the types of their loops (NumPy's letters, for float64), `ELEMENTS` what
kernel text may call: one result, or one part of a complex one, of a loop that runs once.
`function` registers the op of one, by the derivatives that are known by name of operand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adgraph.ir.op import Op
from adgraph.ops.complex_parts import Pair, Parts, as_pair, filled
from adgraph.ops.kinds import NoPartial, elementwise_function
from adgraph.ops.scipy_special import MODULE, special

LOOPS: dict[str, str] = {
    "d->d": (
        "bei beip ber berp cosdg cosm1 cotdg dawsn ellipe ellipk ellipkm1 erf erfc erfcx erfi "
        "exp1 exp10 expi exprel gamma gammasgn it2struve0 itmodstruve0 itstruve0 k0 k0e k1 k1e "
        "kei keip ker kerp kolmogi kolmogorov _kolmogp log_ndtr loggamma ndtr ndtri_exp digamma "
        "rgamma sindg spence tandg wrightomega y0 y1 zetac _riemann_zeta"
    ),
    "dd->d": (
        "agm binom boxcox boxcox1p chdtr chdtrc chdtri chdtriv ellipeinc ellipkinc elliprc "
        "eval_chebyc eval_chebys eval_chebyt eval_chebyu eval_laguerre eval_legendre "
        "eval_sh_chebyt eval_sh_chebyu eval_sh_legendre expn gammainc gammaincc gammainccinv "
        "gammaincinv hyp0f1 inv_boxcox inv_boxcox1p iv ive jv jve kn kv kve mathieu_a mathieu_b "
        "modstruve owens_t pdtr pdtrc pdtri pdtrik poch powm1 smirnov smirnovi _smirnovp stdtr "
        "stdtridf stdtrit struve tklmbda xlog1py xlogy yn yv yve _zeta _igam_fac"
    ),
    "ddd->d": (
        "bdtrik bdtrin besselpoly betainc betaincc betainccinv betaincinv "
        "btdtria btdtrib chndtr chndtridf chndtrinc chndtrix elliprd elliprf elliprg "
        "eval_gegenbauer eval_genlaguerre fdtr fdtrc fdtri fdtridfd gdtr gdtrc gdtria gdtrib "
        "gdtrix hyp1f1 hyperu log_wright_bessel lpmv nbdtr nbdtrc nbdtri nbdtrik nbdtrin nctdtr "
        "nctdtridf nctdtrinc nctdtrit nrdtrimn nrdtrisd obl_cv pro_cv radian voigt_profile "
        "wright_bessel _beta_pdf _nct_pdf _ncx2_pdf"
    ),
    "dddd->d": (
        "elliprj eval_jacobi eval_sh_jacobi hyp2f1 ncfdtr ncfdtri ncfdtridfd ncfdtridfn ncfdtrinc "
        "_ncf_pdf"
    ),
    "ld->d": (
        "eval_chebyc eval_chebys eval_chebyt eval_chebyu eval_hermite eval_hermitenorm "
        "eval_laguerre eval_legendre eval_sh_chebyt eval_sh_chebyu eval_sh_legendre _spherical_in "
        "_spherical_jn _spherical_kn _spherical_yn"
    ),
    "dld->d": "bdtr bdtrc bdtri",  # which warns of counts that are floats
    "ldd->d": ("eval_gegenbauer eval_genlaguerre"),
    "lddd->d": ("eval_jacobi eval_sh_jacobi"),
    "d->dd": ("fresnel it2i0k0 it2j0y0 iti0k0 itj0y0 shichi sici"),
    "d->DD": ("modfresnelm modfresnelp"),
    "d->dddd": ("airy airye itairy"),
    "dd->dd": ("pbdv pbvv pbwa"),
    "dd->dddd": ("ellipj"),
    "ddd->dd": (
        "mathieu_cem mathieu_modcem1 mathieu_modcem2 mathieu_modsem1 mathieu_modsem2 mathieu_sem"
    ),
    "dddd->dd": ("obl_ang1 obl_rad1 obl_rad2 pro_ang1 pro_rad1 pro_rad2"),
    "ddddd->dd": ("obl_ang1_cv obl_rad1_cv obl_rad2_cv pro_ang1_cv pro_rad1_cv pro_rad2_cv"),
    "D->D": (
        "dawsn erf erfc erfcx erfi exp1 expi gamma log_ndtr loggamma ndtr digamma rgamma spence "
        "wofz wrightomega _riemann_zeta"
    ),
    "dD->D": (
        "eval_chebyc eval_chebys eval_chebyt eval_chebyu eval_laguerre eval_legendre "
        "eval_sh_chebyt eval_sh_chebyu eval_sh_legendre hankel1 hankel1e hankel2 hankel2e hyp0f1 "
        "iv ive jv jve kv kve yv yve"
    ),
    "DD->D": ("elliprc xlog1py xlogy"),
    "ddD->D": ("eval_gegenbauer eval_genlaguerre hyp1f1"),
    "DDD->D": ("elliprd elliprf elliprg"),
    "dddD->D": ("eval_jacobi eval_sh_jacobi hyp2f1"),
    "DDDD->D": ("elliprj"),
    "lD->D": ("_spherical_in _spherical_jn _spherical_kn _spherical_yn"),
    "Dld->D": ("_lambertw"),
    "D->DD": ("fresnel shichi sici"),
    "D->DDDD": ("airy airye"),
}
# Their float32 loops never end for some arguments, or give nan: float32 goes by float64.
WIDE = frozenset(("pro_cv", "obl_cv", "mathieu_a", "mathieu_b"))
SIDES = ("real", "imag")


@dataclass(frozen=True)
class Element:
    """What one name of kernel text computes: the loop of `types` of a ufunc, run once.

    Of its results it gives the one numbered `result`; of complex numbers the part numbered `part`.
    """

    ufunc: str
    types: str
    result: int
    part: int

    @property
    def name(self) -> str:
        """The name in kernel text."""
        given, _, made = self.types.partition("->")
        words = ["scipy", self.ufunc.strip("_")]
        words += [f"{self.result}"] if len(made) > 1 else []
        words += ["of_integer"] if given[0] == "l" else []
        words += ["of_complex"] if "D" in given else []
        words += [SIDES[self.part]] if made[self.result] == "D" else []
        return "_".join(words)

    @property
    def widened(self) -> bool:
        """Whether float32 numbers are computed in float64."""
        return self.ufunc in WIDE or self.types == "dld->d"

    @property
    def arity(self) -> int:
        """The number of real operands: complex ones are two."""
        return sum(2 if c == "D" else 1 for c in self.types.partition("->")[0])

    @property
    def expression(self) -> str:
        """One element of the result, as the text of an op."""
        return f"{self.name}({', '.join(f'{{{i}}}' for i in range(self.arity))})"


def _elements() -> Iterator[Element]:
    for types, names in LOOPS.items():
        for name in names.split():
            for result, letter in enumerate(types.partition("->")[2]):
                for part in range(2 if letter == "D" else 1):
                    yield Element(name, types, result, part)


ELEMENTS = {element.name: element for element in _elements()}

# --- ops ------------------------------------------------------------------------------------------

Partial = Callable[..., Any]
NONE: Mapping[str, Partial] = {}
UNDERIVABLE: set[Any] = set()  # functions without a derivative by any operand


def _in_float64(ufunc: str) -> Callable[..., Any]:
    """Return a function that computes in float64 and rounds to the dtype of its operands."""

    def evaluate(*args: Any) -> Any:
        dtype = np.result_type(*args)
        wide = (np.asarray(x, np.float64) for x in args)
        return np.asarray(getattr(special, ufunc)(*wide)).astype(dtype)[()]

    return evaluate


def function(
    ufunc: str,
    operands: str,
    partials: Mapping[str, Partial] = NONE,
    *,
    op: str | None = None,
    called: str | None = None,
    types: str | None = None,
    result: int = 0,
    part: int = 0,
    weight: float = 60.0,
) -> Op:
    """Register the op of a ufunc of `scipy.special`, or of one of its results.

    `partials` gives the derivative by an operand, as a function of the result and all operands, for
    those by which it is known. To ask for another one is an error, which names the function as it
    is `called` by users.
    """
    names = operands.split()
    types = types or _real_types(ufunc, len(names))
    element = Element(ufunc, types, result, part)
    name = op or ufunc.strip("_")
    missing = {operand: NoPartial(f"{MODULE}.{called or name}", operand) for operand in names}

    def derivatives(y: Any, *args: Any) -> tuple[Any, ...]:
        return tuple(
            partials[operand](y, *args) if operand in partials else missing[operand]
            for operand in names
        )

    if not partials:
        UNDERIVABLE.add(getattr(special, ufunc))
    single = len(types.partition("->")[2]) == 1
    return elementwise_function(
        name,
        (_in_float64(ufunc) if ufunc in WIDE else getattr(special, ufunc))
        if single
        else _one_of(ufunc, types, result, part),
        lambda *dtypes: next((d for d in dtypes if d.kind == "c"), dtypes[-1]),
        derivatives,
        element.expression,
        numpy=getattr(special, ufunc) if single and op is None else None,
        weight=weight,
        singular=True,
        parts=complex_parts(ufunc, result, types),
    )


def _real_types(ufunc: str, arity: int) -> str:
    """Return the types of the loop for real operands."""
    for types, names in LOOPS.items():
        given = types.partition("->")[0]
        if ufunc in names.split() and set(given) == {"d"} and len(given) == arity:
            return types
    return complex_types(ufunc) or ""


def _one_of(ufunc: str, types: str, result: int, part: int) -> Callable[..., Any]:
    """Return the function that computes one result, or one part of it."""

    def evaluate(*arrays: Any) -> Any:
        found = getattr(special, ufunc)(*arrays)
        one = found[result] if isinstance(found, tuple) else found
        if "D" in types:
            return np.array(one.imag if part else one.real)
        return one

    return evaluate


# --- complex numbers ------------------------------------------------------------------------------


def complex_types(ufunc: str) -> str | None:
    """Return the types of the loop for complex operands."""
    for types, names in LOOPS.items():
        if "D" in types.partition("->")[0] and ufunc in names.split():
            return types
    return None


def complex_parts(ufunc: str, result: int = 0, real_types: str | None = None) -> Parts | None:
    """Return what a function makes of parts: two ops, each of which gives one part of the result.

    They are registered with it, and as derivatives come before parts they have none. It is None if
    there is no loop with complex operands in place of real ones of `real_types`.
    """
    types = complex_types(ufunc)
    if types is None or (real_types and types.lower() != real_types.lower()):
        return None
    given = types.partition("->")[0]
    ops = [_op_of_part(Element(ufunc, types, result, part), given) for part in range(2)]

    def parts(*operands: Any) -> Pair:
        flat = [
            x
            for operand, letter in zip(operands, given, strict=True)
            for x in (filled(as_pair(operand)) if letter == "D" else (operand,))
        ]
        return Pair(*(op(*flat) for op in ops))

    return parts


def _op_of_part(element: Element, given: str) -> Op:
    def evaluate(*arrays: Any) -> Any:
        left = iter(arrays)
        args = [next(left) + 1j * next(left) if c == "D" else next(left) for c in given]
        found = getattr(special, element.ufunc)(*args)
        one = found[element.result] if isinstance(found, tuple) else found
        return np.array(one.imag if element.part else one.real)

    return elementwise_function(
        element.name.removeprefix("scipy_"),
        evaluate,
        lambda *dtypes: next(d for d in reversed(dtypes) if d.kind == "f"),
        None,
        element.expression,
        weight=60.0,
    )
