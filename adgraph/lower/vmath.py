"""The functions which kernel text may call, each as a formula in LLVM IR, with NumPy's semantics.

`FUNCTIONS` is the table: a name, how its arguments are typed, and its formula. `link` adds to a
module the functions that it declares, so that they are inlined and vectorized with the loop that
calls them. Sources of a formula, in this order: an own approximation, glibc's vector math (libmvec,
for single numbers as well), libm, SciPy's compiled special functions. A function gives the same
bits wherever it is called, in vectors or alone.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from adgraph.lower import approximations, arithmetic, native, trigonometry
from adgraph.lower.emitter import SCALARS, Emitter, Scalar, symbol
from adgraph.ops.scipy_special import MODULE, UFUNCS
from adgraph.ops.special_loops import ELEMENTS, Element

Family = Literal["float", "number", "integer", "predicate"]
PURE = "memory(none) nounwind willreturn"
LANES = {"e": {"f8": 8, "f4": 16}, "d": {"f8": 4, "f4": 8}}


@dataclass(frozen=True)
class Function:
    """A callable of kernel text.

    Families: `float` takes and returns one float type, `number` any dtype, `integer` integers,
    `predicate` takes a float and returns a bool.
    """

    name: str
    arity: int
    family: Family
    emit: Callable[..., str]


def _own(formula: Callable[[Emitter, str], str], libm: str) -> Callable[[Emitter, str], str]:
    """Use an own float64 formula, but libm without fused multiply-add, and libmvec in float32."""

    def emit(e: Emitter, x: str) -> str:
        fast_libm = e.scalar.code == "f4" and _vector_function(e, libm + "f", 1) is not None
        if fast_libm or not native.has_fma():
            return _libm(libm)(e, x)
        return _widened(formula)(e, x)

    return emit


def _reduced(
    formula: Callable[[Emitter, str, trigonometry.Libm], str], libm: str
) -> Callable[[Emitter, str], str]:
    """Use an own float64 formula where libmvec can take what it leaves."""

    def emit(e: Emitter, x: str) -> str:
        others = _libm(libm)
        own = native.has_fma() and e.scalar.code == "f8"
        in_vectors = own and _vector_function(e, libm, 1) is not None
        return formula(e, x, others) if in_vectors else others(e, x)

    return emit


def _fused(
    formula: Callable[[Emitter, str], str], otherwise: Callable[[Emitter, str], str]
) -> Callable[[Emitter, str], str]:
    """Use an own float64 formula where there is fused multiply-add."""
    return lambda e, x: (_widened(formula) if native.has_fma() else otherwise)(e, x)


def _libm(name: str) -> Callable[..., str]:
    """Call a function of libmvec, or of libm where that has none.

    LLVM takes libmvec's own form in vectorized loops; both give the same bits.
    """

    def emit(e: Emitter, *operands: str) -> str:
        function = name + ("f" if e.scalar.code == "f4" else "")
        arguments = ", ".join(f"{e.type} {operand}" for operand in operands)
        vector_function = _vector_function(e, function, len(operands))
        if vector_function is None:
            parameters = ", ".join([e.type] * len(operands))
            e.declarations.add(f"declare {e.type} @{function}({parameters}) {PURE}")
            return e.emit(f"call {e.type} @{function}({arguments})")
        lanes, own = _lanes(e), f"one_{function}"
        e.declarations.update(_for_one(e, own, vector_function, len(operands)))
        variant = f"_ZGV_LLVM_N{lanes}{'v' * len(operands)}_{own}({vector_function})"
        call = f"call {e.type} @{own}({arguments})"
        return e.emit(f'{call} "vector-function-abi-variant"="{variant}"')

    return emit


def _for_one(e: Emitter, name: str, vector_function: str, arity: int) -> tuple[str, str]:
    """Return a declaration of a function of libmvec, and one that applies it to single numbers."""
    vector = f"<{_lanes(e)} x {e.type}>"
    zeros = f"<{_lanes(e)} x i32> zeroinitializer"
    lines = []
    for i in range(arity):
        lines.append(f"  %first{i} = insertelement {vector} poison, {e.type} %x{i}, i64 0")
        lines.append(f"  %all{i} = shufflevector {vector} %first{i}, {vector} poison, {zeros}")
    parameters = ", ".join(f"{e.type} %x{i}" for i in range(arity))
    arguments = ", ".join(f"{vector} %all{i}" for i in range(arity))
    definition = (
        f"define internal {e.type} @{name}({parameters}) noinline {PURE} {{",
        *lines,
        f"  %y = call {vector} @{vector_function}({arguments})",
        f"  %one = extractelement {vector} %y, i64 0",
        f"  ret {e.type} %one",
        "}",
    )
    declaration = f"declare {vector} @{vector_function}({', '.join([vector] * arity)})"
    return declaration, "\n".join(definition)


def _vector_function(e: Emitter, function: str, arity: int) -> str | None:
    """Return the name which glibc's vector ABI gives to a function, if libmvec has it."""
    isa = native.vector_math_isa()
    if not isa:
        return None
    name = f"_ZGV{isa}N{_lanes(e)}{'v' * arity}_{function}"
    return None if native.resolve(name) is None else name


def _lanes(e: Emitter) -> int:
    return LANES[native.vector_math_isa()][e.scalar.code]


def _scipy(name: str) -> Callable[..., str]:
    """Call a compiled special function of SciPy (float64; its last parameter is Cython's)."""

    def emit(e: Emitter, *operands: str) -> str:
        function = f'@"{native.SCIPY_PREFIX}special.cython_special.{name}"'
        parameters = ", ".join(["double"] * len(operands) + ["i32"])
        e.declarations.add(
            f"declare double {function}({parameters}) memory(none) nounwind willreturn"
        )
        arguments = ", ".join([f"double {operand}" for operand in operands] + ["i32 0"])
        return e.emit(f"call double {function}({arguments})")

    return emit


SINGLE = str.maketrans("dD", "fF")
IN_MEMORY = {"d": "double", "f": "float", "l": "i64"}


def _element(element: Element) -> Callable[..., str]:
    """Run the inner loop of a ufunc of SciPy once, on operands in the stack frame."""

    def emit(e: Emitter, *operands: str) -> str:
        types = element.types if e.scalar.code == "f8" else element.types.translate(SINGLE)
        module = UFUNCS if element.ufunc.startswith("_") else MODULE
        loop = f"{native.UFUNC_PREFIX}{module}.{element.ufunc}.{types}"
        e.declarations.add(f'declare void @"{loop}"()')
        given, _, made = types.partition("->")
        left = iter(operands)
        slots = [_stored(e, letter, left) for letter in given]
        slots += [_slot(e, letter) for letter in made]
        arrays = e.emit(f"alloca [{len(slots)} x ptr]")
        strides = e.emit(f"alloca [{len(slots)} x i64]")
        count = e.emit("alloca i64")
        for i, slot in enumerate(slots):
            _store(e, f"ptr {slot}", e.emit(f"getelementptr ptr, ptr {arrays}, i64 {i}"))
        _store(e, f"[{len(slots)} x i64] zeroinitializer", strides)
        _store(e, "i64 1", count)
        function = e.emit(f'load ptr, ptr @"{loop}"')
        behind = e.emit(f'getelementptr ptr, ptr @"{loop}", i64 1')
        data = e.emit(f"load ptr, ptr {behind}")
        arguments = ", ".join(f"ptr {pointer}" for pointer in (arrays, count, strides, data))
        e.lines.append(f"  call void {function}({arguments})")
        result = slots[len(given) + element.result]
        return e.emit(f"load {e.type}, ptr {_at(e, result, element.part)}")

    return emit


def _slot(e: Emitter, letter: str) -> str:
    """Make room for a number; a complex one has two parts."""
    kind = e.type if letter in "DF" else IN_MEMORY[letter]
    return e.emit(f"alloca [{2 if letter in 'DF' else 1} x {kind}]")


def _stored(e: Emitter, letter: str, operands: Iterator[str]) -> str:
    slot = _slot(e, letter)
    if letter == "l":
        _store(e, f"i64 {e.emit(f'fptosi {e.type} {next(operands)} to i64')}", slot)
        return slot
    for part in range(2 if letter in "DF" else 1):
        _store(e, f"{e.type} {next(operands)}", _at(e, slot, part))
    return slot


def _at(e: Emitter, slot: str, part: int) -> str:
    return e.emit(f"getelementptr {e.type}, ptr {slot}, i64 {part}")


def _store(e: Emitter, value: str, pointer: str) -> None:
    e.lines.append(f"  store {value}, ptr {pointer}")


def _intrinsic(name: str) -> Callable[..., str]:
    def emit(e: Emitter, *operands: str) -> str:
        return e.intrinsic(name, *operands)

    return emit


def _widened(emit: Callable[..., str]) -> Callable[..., str]:
    """Compute a float32 function in float64 and round once."""

    def wrapper(e: Emitter, *operands: str) -> str:
        if e.scalar.code == "f8":
            return emit(e, *operands)
        wide = [e.emit(f"fpext float {operand} to double") for operand in operands]
        e.scalar, e.type, e.integer = SCALARS["f8"], "double", "i64"
        result = emit(e, *wide)
        e.scalar, e.type, e.integer = SCALARS["f4"], "float", "i32"
        return e.emit(f"fptrunc double {result} to float")

    return wrapper


def _log(e: Emitter, x: str) -> str:
    """Use own formulas in both widths: libmvec's logf is off by almost 4 ulp."""
    if not native.has_fma():
        return _libm("log")(e, x)
    return (approximations.log_single if e.scalar.code == "f4" else approximations.log)(e, x)


def _lgamma(e: Emitter, x: str) -> str:
    """Take libm's lgamma, which differs from SciPy's gammaln only at -inf."""
    return e.select(e.compare("oeq", x, -math.inf), -math.inf, _libm("lgamma")(e, x))


def _expit(e: Emitter, x: str) -> str:
    """Divide by 1 + e**-|x|, which overflows on neither side."""
    small = e.call("exp", e.neg(e.abs(x)))
    numerator = e.select(e.compare("olt", x, 0.0), small, 1.0)
    return e.div(numerator, e.add(small, 1.0))


def _tanh_slope(e: Emitter, x: str) -> str:
    decay = e.call("exp", e.mul(e.abs(x), -2.0))
    inverse = e.div(1.0, e.add(decay, 1.0))
    return e.mul(e.mul(e.mul(decay, 4.0), inverse), inverse)


def _power(e: Emitter, a: str, b: str) -> str:
    return _libm("pow")(e, a, b) if e.scalar.is_float else arithmetic.integer_power(e, a, b)


def _logaddexp(e: Emitter, a: str, b: str) -> str:
    return _log_of_sum(e, a, b, math.log(2.0), "exp", 1.0)


def _logaddexp2(e: Emitter, a: str, b: str) -> str:
    return _log_of_sum(e, a, b, 1.0, "exp2", 1.0 / math.log(2.0))


def _log_of_sum(e: Emitter, a: str, b: str, equal: float, exp: str, scale: float) -> str:
    """Return max + log(1 + base**-|a - b|), where equal infinities have the difference 0."""
    larger = e.select(e.compare("oge", a, b), a, b)
    difference = e.neg(e.abs(e.sub(a, b)))
    y = e.add(larger, e.mul(e.call("log1p", e.call(exp, difference)), scale))
    return e.select(e.compare("oeq", a, b), e.add(a, equal), y)


def _xlogy(e: Emitter, x: str, y: str) -> str:
    return _zero_if_zero(e, x, y, e.call("log", y))


def _xlog1py(e: Emitter, x: str, y: str) -> str:
    return _zero_if_zero(e, x, y, e.call("log1p", y))


def _zero_if_zero(e: Emitter, x: str, y: str, factor: str) -> str:
    nothing = e.logic("and", e.compare("oeq", x, 0.0), e.compare("ord", y, y))
    return e.select(nothing, 0.0, e.mul(x, factor))


def _multiply_no_nan(e: Emitter, cotangent: str, partial: str) -> str:
    return e.select(e.compare("oeq", cotangent, 0.0), 0.0, e.mul(cotangent, partial))


def _multiply_add(e: Emitter, a: str, b: str, c: str) -> str:
    """Round once where the CPU can: libm would take a hundred times as long."""
    return e.fma(a, b, c) if native.has_fma() else e.add(e.mul(a, b), c)


def _ndtr(e: Emitter, x: str) -> str:
    t = e.mul(x, math.sqrt(0.5))
    return e.mul(e.call("erfc", e.neg(t)), 0.5)


def _zeta(e: Emitter, x: str, q: str) -> str:
    """Hurwitz's zeta function by Euler and Maclaurin (as in Cephes' zeta, S. Moshier 1987)."""
    power = _libm("pow")
    minus_x = e.neg(x)
    first = power(e, q, minus_x)
    e.lines += [
        "  br label %head",
        "head:",
        f"  %sum = phi double [{first}, %entry], [%next_sum, %head]",
        "  %a = phi double [%q0, %entry], [%next_a, %head]".replace("%q0", q),
        "  %i = phi i32 [0, %entry], [%next_i, %head]",
        "  %next_i = add i32 %i, 1",
        "  %next_a = fadd double %a, 0x3FF0000000000000",
    ]
    term = power(e, "%next_a", minus_x)
    e.lines += [
        f"  %next_sum = fadd double %sum, {term}",
        "  %few = icmp ult i32 %next_i, 9",
        f"  %small = fcmp ole double %next_a, {e.constant(9.0)}",
        f"  %bounded = fcmp ogt double %next_a, {e.constant(-1e6)}",
        "  %negative = and i1 %small, %bounded",
        "  %more = or i1 %few, %negative",
        "  br i1 %more, label %head, label %done",
        "done:",
    ]
    total = e.add("%next_sum", e.div(e.mul(term, "%next_a"), e.sub(x, 1.0)))
    total = e.sub(total, e.mul(term, 0.5))
    factor, rising, inverse = x, term, e.div(1.0, "%next_a")
    rising = e.mul(rising, inverse)
    for j, coefficient in enumerate(_bernoulli_quotients()):
        total = e.add(total, e.mul(e.mul(factor, rising), coefficient))
        step = e.mul(e.add(x, 2.0 * j + 1.0), e.add(x, 2.0 * j + 2.0))
        factor = e.mul(factor, step)
        rising = e.mul(rising, e.mul(inverse, inverse))
    total = e.select(e.compare("oeq", "%next_sum", math.inf), math.inf, total)
    integral_x = e.compare("oeq", e.intrinsic("floor", x), x)
    integral_q = e.compare("oeq", e.intrinsic("floor", q), q)
    total = e.select(e.compare("ogt", q, 0.0), total, e.select(integral_x, total, math.nan))
    pole = e.logic("and", e.compare("ole", q, 0.0), integral_q)
    total = e.select(e.logic("or", pole, e.compare("oeq", x, 1.0)), math.inf, total)
    return e.select(e.compare("ult", x, 1.0), math.nan, total)


def _bernoulli_quotients() -> tuple[float, ...]:
    """Return B(2j) / (2j)! for j = 1 to 12 = 2 (-1)**(j+1) zeta(2j) / (2 pi)**(2j)."""
    bernoulli = (
        (1, 6),
        (-1, 30),
        (1, 42),
        (-1, 30),
        (5, 66),
        (-691, 2730),
        (7, 6),
        (-3617, 510),
        (43867, 798),
        (-174611, 330),
        (854513, 138),
        (-236364091, 2730),
    )
    return tuple(
        numerator / (denominator * math.factorial(2 * j))
        for j, (numerator, denominator) in enumerate(bernoulli, 1)
    )


def _polygamma(e: Emitter, n: str, x: str) -> str:
    order = e.add(n, 1.0)
    half = e.mul(order, 0.5)
    even = e.compare("oeq", e.intrinsic("floor", half), half)
    magnitude = e.mul(e.call("gamma", order), e.call("zeta", order, x))
    value = e.select(even, magnitude, e.neg(magnitude))
    return e.select(e.compare("oeq", n, 0.0), e.call("digamma", x), value)


def _rows(family: Family, arity: int, **formulas: Callable[..., str]) -> tuple[Function, ...]:
    return tuple(Function(name, arity, family, emit) for name, emit in formulas.items())


_ROWS = (
    *_rows(
        "float",
        1,
        exp=_own(approximations.exp, "exp"),
        exp2=_own(approximations.exp2, "exp2"),
        expm1=_own(approximations.expm1, "expm1"),
        log=_log,
        log1p=_own(approximations.log1p, "log1p"),
        log2=_libm("log2"),
        log10=_libm("log10"),
        sin=_reduced(trigonometry.sin, "sin"),
        cos=_reduced(trigonometry.cos, "cos"),
        tan=_libm("tan"),
        sinh=_own(approximations.sinh, "sinh"),
        cosh=_own(approximations.cosh, "cosh"),
        tanh=_own(approximations.tanh, "tanh"),
        tanh_slope=_fused(approximations.tanh_slope, _tanh_slope),
        arcsin=_libm("asin"),
        arccos=_libm("acos"),
        arctan=_libm("atan"),
        arcsinh=_libm("asinh"),
        arccosh=_libm("acosh"),
        arctanh=_libm("atanh"),
        sqrt=_intrinsic("sqrt"),
        cbrt=_libm("cbrt"),
        expit=_expit,
        erf=_libm("erf"),
        erfc=_libm("erfc"),
        ndtr=_widened(_ndtr),
        gammaln=_fused(approximations.gammaln, _lgamma),
        gamma=_libm("tgamma"),
        digamma=_fused(approximations.digamma, _widened(_scipy("psi"))),
        psi=_fused(approximations.digamma, _widened(_scipy("psi"))),
        log_ndtr=_widened(_scipy("log_ndtr")),
        erfinv=_widened(_scipy("erfinv")),
        erfcinv=_widened(_scipy("erfcinv")),
        ndtri=_widened(_scipy("ndtri")),
        erfcx=_widened(_scipy("erfcx")),
        bessel_i0=_widened(_scipy("i0")),
        bessel_i1=_widened(_scipy("i1")),
        bessel_i0e=_widened(_scipy("i0e")),
        bessel_i1e=_widened(_scipy("i1e")),
        bessel_j0=_widened(_scipy("j0")),
        bessel_j1=_widened(_scipy("j1")),
        floor=_intrinsic("floor"),
        ceil=_intrinsic("ceil"),
        trunc=_intrinsic("trunc"),
        rint=_intrinsic("rint"),
    ),
    *_rows(
        "float",
        2,
        arctan2=_libm("atan2"),
        hypot=_libm("hypot"),
        logaddexp=_widened(_logaddexp),
        logaddexp2=_widened(_logaddexp2),
        copysign=_intrinsic("copysign"),
        nextafter=_libm("nextafter"),
        heaviside=arithmetic.heaviside,
        multiply_no_nan=_multiply_no_nan,
        xlogy=_widened(_xlogy),
        xlog1py=_widened(_xlog1py),
        zeta=_widened(_zeta),
        polygamma=_widened(_polygamma),
        beta=_widened(_scipy("beta")),
        betaln=_widened(_scipy("betaln")),
    ),
    *_rows("float", 3, fma=_multiply_add),
    *_rows("number", 1, absolute=arithmetic.absolute, sign=arithmetic.sign),
    *_rows(
        "number",
        2,
        maximum=arithmetic.maximum,
        minimum=arithmetic.minimum,
        fmax=arithmetic.fmax,
        fmin=arithmetic.fmin,
        fmod=arithmetic.fmod,
        remainder=arithmetic.remainder,
        floor_divide=arithmetic.floor_divide,
        power=_power,
    ),
    *_rows(
        "integer",
        2,
        gcd=arithmetic.gcd,
        lcm=arithmetic.lcm,
        left_shift=arithmetic.left_shift,
        right_shift=arithmetic.right_shift,
    ),
    *_rows(
        "predicate",
        1,
        isnan=arithmetic.isnan,
        isinf=arithmetic.isinf,
        isfinite=arithmetic.isfinite,
        signbit=arithmetic.signbit,
    ),
)
_SPECIAL = tuple(
    Function(
        name,
        element.arity,
        "float",
        _widened(_element(element)) if element.widened else _element(element),
    )
    for name, element in ELEMENTS.items()
)
FUNCTIONS = {function.name: function for function in (*_ROWS, *_SPECIAL)}
_DECLARATION = re.compile(r'^declare [^@\n]*@"?adgraph\.(\w+)\.(\w+)"?\(.*$', re.MULTILINE)

_DECLARED_NAME = re.compile(r'^declare [^@\n]*@"?([^"(\s]+)"?\(', re.MULTILINE)


@dataclass(frozen=True)
class Definition:
    """The IR of one function, what it declares, and which other functions it calls."""

    text: str
    declarations: frozenset[str]
    calls: frozenset[tuple[str, str]]


@functools.cache
def define(name: str, code: str) -> Definition:
    """Return the IR of one function for one dtype code."""
    function = FUNCTIONS[name]
    scalar = SCALARS[code]
    e = Emitter(scalar)
    operands = [f"%x{i}" for i in range(function.arity)]
    value = function.emit(e, *operands)
    result = SCALARS["b1"] if function.family == "predicate" else scalar
    text = "\n".join(
        (
            _header(function, scalar, result) + " alwaysinline memory(none) nounwind willreturn {",
            "entry:",
            *e.lines,
            f"  ret {result.llvm} {value}",
            "}",
        )
    )
    return Definition(text, frozenset(e.declarations), frozenset(e.calls))


def _header(function: Function, scalar: Scalar, result: Scalar) -> str:
    parameters = ", ".join(f"{scalar.llvm} %x{i}" for i in range(function.arity))
    name = symbol(function.name, scalar.code)
    return f'define internal {result.llvm} @"{name}"({parameters})'


def link(text: str) -> str:
    """Replace a module's declarations of vmath functions by their definitions."""
    wanted = {(name, code) for name, code in _DECLARATION.findall(text)}
    if not wanted:
        return text
    definitions = _closure(wanted)
    declared = sorted(set().union(*(definition.declarations for definition in definitions)))
    present = set(_DECLARED_NAME.findall(text))
    kept = [line for line in declared if not present.intersection(_DECLARED_NAME.findall(line))]
    parts = [_DECLARATION.sub("", text), *kept, *(d.text for d in definitions), _keep(kept)]
    return "\n".join(parts) + "\n"


def _closure(wanted: set[tuple[str, str]]) -> list[Definition]:
    found: dict[tuple[str, str], Definition] = {}
    pending = sorted(wanted)
    while pending:
        key = pending.pop()
        if key not in found:
            found[key] = define(*key)
            pending.extend(sorted(found[key].calls))
    return [found[key] for key in sorted(found)]


def _keep(declarations: list[str]) -> str:
    """Keep functions of libmvec, and those that call them, until LLVM has vectorized loops."""
    names = [n for line in declarations for n in re.findall(r"^\w+ .*@(_ZGV\w+|one_\w+)\(", line)]
    if not names:
        return ""
    pointers = ", ".join(f"ptr @{name}" for name in names)
    kind = f"[{len(names)} x ptr]"
    section = 'section "llvm.metadata"'
    return f"@llvm.compiler.used = appending global {kind} [{pointers}], {section}"
