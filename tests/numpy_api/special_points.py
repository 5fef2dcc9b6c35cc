"""Arguments of the ufuncs of `scipy.special`: fixed parameters, then the point that is varied.

Ufuncs of one number need no entry unless they are special between 0.2 and 0.8.
"""

from __future__ import annotations

from typing import Any


def _points(given: str) -> dict[str, tuple[Any, ...]]:
    """Read lines of a name and its numbers; those without a point are integers."""
    lines = (line.split() for line in given.strip().splitlines())
    return {name: tuple(map(_number, numbers)) for name, *numbers in lines}


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


POINTS = _points(
    """
agm 1.5 2.5
bdtr 2.0 5 0.3
bdtrc 2.0 5 0.3
bdtri 2.0 5 0.3
bdtrik 0.4 7.0 0.3
bdtrin 2.0 0.4 0.3
beta 1.5 2.5
betainc 2.0 3.5 0.3
betaincc 2.0 3.5 0.3
betainccinv 2.0 3.5 0.3
betaincinv 2.0 3.5 0.3
betaln 1.5 2.5
binom 5.5 2.2
boxcox 1.5 0.7
boxcox1p 0.5 0.7
btdtria 0.4 2.0 0.3
btdtrib 2.0 0.4 0.3
chdtr 3.0 2.0
chdtrc 3.0 2.0
chdtri 3.0 0.3
chdtriv 0.4 0.3
chndtr 3.0 4.0 1.5
chndtridf 3.0 0.4 0.5
chndtrinc 3.0 4.0 0.3
chndtrix 0.4 4.0 1.5
ellipeinc 0.7 0.3
ellipj 0.7 0.3
ellipkinc 0.7 0.3
elliprc 1.0 2.0
elliprd 1.0 2.0 3.0
elliprf 1.0 2.0 3.0
elliprg 1.0 2.0 3.0
elliprj 1.0 2.0 3.0 4.0
entr 0.7
eval_chebyc 4 0.3
eval_chebys 4 0.3
eval_chebyt 4 0.3
eval_chebyu 4 0.3
eval_gegenbauer 4 1.3 0.3
eval_genlaguerre 4 1.3 0.3
eval_hermite 4 0.3
eval_hermitenorm 4 0.3
eval_jacobi 4 1.3 0.5 0.3
eval_laguerre 4 0.3
eval_legendre 4 0.3
eval_sh_chebyt 4 0.3
eval_sh_chebyu 4 0.3
eval_sh_jacobi 4 3.3 1.5 0.3
eval_sh_legendre 4 0.3
expn 3 0.4
fdtr 3.0 5.0 1.2
fdtrc 3.0 5.0 1.2
fdtri 3.0 5.0 0.3
fdtridfd 3.0 0.4 0.5
gammainc 2.5 1.5
gammaincc 2.5 1.5
gammainccinv 2.5 0.3
gammaincinv 2.5 0.3
gdtr 1.5 2.5 0.7
gdtrc 1.5 2.5 0.7
gdtria 0.4 2.5 0.7
gdtrib 1.5 0.4 0.5
gdtrix 1.5 2.5 0.3
hankel1 2 1.3
hankel1e 2 1.3
hankel2 2 1.3
hankel2e 2 1.3
huber 0.5 1.7
hyp0f1 1.5 0.7
hyp1f1 0.5 1.5 0.7
hyp2f1 0.5 1.5 2.2 0.3
hyperu 0.5 1.5 1.7
inv_boxcox 0.5 0.7
inv_boxcox1p 0.5 0.7
iv 2 1.3
ive 2 1.3
jn 2 1.3
jv 2 1.3
jve 2 1.3
kl_div 0.5 0.7
kn 3 1.2
kv 2 1.3
kve 2 1.3
log_wright_bessel 0.5 1.5 0.7
lpmv 1.0 3.0 0.3
mathieu_a 2.0 1.5
mathieu_b 2.0 1.5
mathieu_cem 2.0 1.5 35.0
mathieu_modcem1 2.0 1.5 0.7
mathieu_modcem2 2.0 1.5 0.7
mathieu_modsem1 2.0 1.5 0.7
mathieu_modsem2 2.0 1.5 0.7
mathieu_sem 2.0 1.5 35.0
modstruve 1.5 2.3
nbdtr 2 3 0.3
nbdtrc 2 3 0.3
nbdtri 2 3 0.3
nbdtrik 0.4 3.0 0.3
nbdtrin 2.0 0.4 0.3
ncfdtr 3.0 5.0 1.5 1.2
ncfdtri 3.0 5.0 1.5 0.4
ncfdtridfd 3.0 0.4 0.5 0.6
ncfdtridfn 0.4 5.0 0.5 0.6
ncfdtrinc 3.0 5.0 0.3 1.2
nctdtr 4.0 1.5 1.2
nctdtridf 0.7 0.3 0.5
nctdtrinc 4.0 0.4 0.5
nctdtrit 4.0 1.5 0.4
ndtri_exp -2.0
nrdtrimn 0.3 1.5 0.7
nrdtrisd 0.3 0.7 1.5
obl_ang1 1.0 2.0 1.5 0.3
obl_cv 1.0 2.0 1.5
obl_rad1 1.0 2.0 1.5 0.3
obl_rad2 1.0 2.0 1.5 2.0
owens_t 0.7 1.3
pbdv 1.5 0.7
pbvv 1.5 0.7
pbwa 1.5 0.7
pdtr 2.0 1.5
pdtrc 2.0 1.5
pdtri 2 0.3
pdtrik 0.4 0.7
poch 2.5 1.5
powm1 1.5 2.5
pro_ang1 1.0 2.0 1.5 0.3
pro_cv 1.0 2.0 1.5
pro_rad1 1.0 2.0 1.5 1.3
pro_rad2 1.0 2.0 1.5 2.0
pseudo_huber 0.5 1.7
radian 10.0 20.0 30.0
rel_entr 0.5 0.7
smirnov 5 0.3
smirnovi 5 0.3
stdtr 3.0 0.7
stdtridf 0.7 0.3
stdtrit 3.0 0.3
struve 1.5 2.3
tklmbda 0.5 0.7
voigt_profile 0.7 1.2 0.5
wright_bessel 0.5 1.5 0.7
xlog1py 1.5 0.7
xlogy 1.5 0.7
yn 2 1.3
yv 2 1.3
yve 2 1.3
polygamma 2 1.3
lambertw 0.7
comb 5.5 2.2
perm 5.5 2.2
zeta 2.5 1.5
spherical_jn 2 1.3
spherical_yn 2 1.3
spherical_in 2 1.3
spherical_kn 2 1.3
"""
)
