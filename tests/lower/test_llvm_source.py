"""Our compiler of kernel text: against Python itself, against Numba, and what it refuses."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from adgraph.lower import vmath
from adgraph.lower.kernel import KernelSource, compile_kernels, kernel_text
from adgraph.lower.kernel_types import KernelTextError, read_kernel
from tests.lower.conftest import call_kernel

Array = np.ndarray[Any, Any]

STATEMENTS = {
    "steps up and down": """
def f(x, y, n, step):
    for i in range(n):
        y[i] = 0.0
    for i in range(n - 1, -1, -2):
        y[i] += x[i]
    for i in range(1, n, 3):
        y[i] *= 2.0
    for i in range(0, n, step):
        y[i] -= 1.0
    for i in range(n - 1, -1, -step):
        y[i] = y[i] * 0.5
    for i in range(n, 0):
        y[0] = 99.0
""",
    "a while with break": """
def f(x, y, n, step):
    i = 0
    total = 0.0
    while True:
        done = i >= n or total > 2.0
        if done:
            break
        total = total + x[i]
        y[i] = total
        i = i + step
    y[n - 1] = total
    while i > 0:
        i -= 1
    y[0] = i
""",
    "branches": """
def f(x, y, n, step):
    last = -1.0
    for i in range(n):
        if x[i] < 0.25:
            kind = 1
        elif x[i] < 0.5 and not x[i] < 0.3:
            kind = 2
            last = x[i]
        else:
            kind = 3
        y[i] = kind + last
        if i == step:
            continues = 1
        else:
            pass
""",
    "a guarded read": """
def f(x, y, n, step):
    for i in range(n):
        j = i - step
        if j >= 0 and x[j] > 0.5 or i == n - 1:
            y[i] = 1.0
        else:
            y[i] = 2.0
""",
    "early return": """
def f(x, y, n, step):
    for i in range(n):
        y[i] = x[i]
        if i > step:
            return 7
    return 0
""",
    "an index after its loop": """
def f(x, y, n, step):
    i = 5
    j = 2
    for i in range(step):
        for j in range(i):
            y[j] = x[i] * j
    y[n - 1] = i + j
""",
    "integers": """
def f(x, y, n, step):
    for i in range(n):
        k = (i * 7 - 3) // step
        m = (i * 5 - 9) % step
        y[i] = min(k, m) + max(k, 2) - (k & m) + (k | 1) - (k ^ 5) + ~m + -k
""",
    "a variable of two types": """
def f(x, y, n, step):
    best = 0
    for i in range(n):
        if x[i] > best:
            best = x[i]
        y[i] = best
""",
}


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize(("n", "step"), [(1, 1), (5, 2), (17, 3)])
def test_statements_do_what_python_does(name: str, n: int, step: int) -> None:
    text = STATEMENTS[name]
    x = np.random.default_rng(n).random(n)
    expected, found = np.zeros(n), np.zeros(n)
    defined: dict[str, Any] = {}
    exec(text, defined)
    status = defined["f"](x, expected, n, step) or 0
    (address,) = compile_kernels([KernelSource("f", ("f8", "f8"), 2, text)])
    assert call_kernel(address, [x, found], n, step) == status
    np.testing.assert_array_equal(found, expected)


# --- random expressions: both backends, bit for bit -----------------------------------------------

POINTERS = ("f8", "f4", "i8", "i4", "u1", "?")
LEAVES = [*(f"x{k}[i]" for k in range(len(POINTERS))), "0.5", "3", "i", "n", "True", "inf"]
INFIX = [f"({{0}} {o} {{1}})" for o in ("+", "-", "*", "/", "<", "<=", "==", "!=")]
CALLS = [
    "-{0}",
    "float32({0})",
    "float64({0})",
    "boolean({0})",
    "not {0}",
    "where({0}, {1}, {0})",
    "maximum({0}, {1})",
    "sqrt({0})",
    "exp({0})",
    "isnan({0})",
    "sign(float64({0}))",
    "floor_divide(float64({0}), {1})",
]


def _combine(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    forms = st.sampled_from([*INFIX, *CALLS])
    return st.builds(lambda form, a, b: form.format(f"({a})", f"({b})"), forms, inner, inner)


EXPRESSIONS = st.recursive(st.sampled_from(LEAVES), _combine, max_leaves=8)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(first=EXPRESSIONS, second=EXPRESSIONS, dtype=st.sampled_from(["f8", "f4", "?"]))
def test_both_backends_give_the_same_bits(first: str, second: str, dtype: str) -> None:
    names = ", ".join(f"x{k}" for k in range(len(POINTERS)))
    text = f"""def f({names}, y, n):
    for i in range(n):
        t0 = {first}
        t1 = {second}
        y[i] = t0 + t1
"""
    rng = np.random.default_rng(0)
    n = 37
    arrays = [(rng.standard_normal(n) * 10).astype("i1").astype(code) for code in POINTERS]
    arrays[0] = np.where(rng.random(n) < 0.2, np.nan, rng.standard_normal(n))
    arrays[1] = np.where(rng.random(n) < 0.2, -np.inf, rng.standard_normal(n)).astype("f4")
    source = KernelSource("f", (*POINTERS, dtype), 1, text)
    results = []
    for backend in ("llvm", "numba"):
        (address,) = compile_kernels([source], backend)  # type: ignore[arg-type]  # one of two
        y = np.zeros(n, dtype)
        assert call_kernel(address, [*arrays, y], n) == 0
        results.append(y)
    np.testing.assert_array_equal(results[0], results[1])
    signs = [np.signbit(y[~np.isnan(y)]) if y.dtype.kind == "f" else y for y in results]
    np.testing.assert_array_equal(signs[0], signs[1])


# --- what is refused ------------------------------------------------------------------------------

REFUSED = {
    "y[0] = x[0] ** 2": "no such operation on f8 and i8",
    "y[0] = x[0] << 1": "no such operation",
    "y[0] = x[0] if n else 0.0": "no such expression",
    "y[0] = np.sin(x[0])": "no such expression",
    "y[0] = x.sum()": "no such expression",
    "y[0] = len(x)": "there is no function `len`",
    "y[:] = 1.0": "no such expression",
    "y[0] = sin(x[0], x[0])": "it takes 1 arguments",
    "y[0.5] = 1.0": "an index is an integer",
    "z = unknown": "no value is ever given",
    "y[0] = unknown": "there is no variable `unknown`",
    "n[0] = 1": "it is no pointer",
    "y[0] = min(x[0], 1.0)": "it is for integers",
    "a, b = 1, 2": "no such statement",
    "print(x)": "no such statement",
    "del n": "no such statement",
    "continue": "no such statement",
    "break": "no such statement",
    "for i in x: y[0] = i": "a loop runs over a range",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_is_outside_the_subset_is_refused_at_its_line(statement: str) -> None:
    text = f"def f(x, y, n):\n    y[0] = 1.0\n    {statement}\n"
    with pytest.raises(KernelTextError, match="line 3 of the kernel") as caught:
        compile_kernels([KernelSource("f", ("f8", "f8"), 1, text)], "llvm")
    assert REFUSED[statement] in str(caught.value)


def test_a_variable_has_the_promotion_of_all_its_values() -> None:
    text = "def f(x, n):\n    a = 1\n    b = a\n    if n > 0:\n        a = x[0]\n    c = a == b\n"
    types = read_kernel(text, ["f4"], 1).types
    assert {name: kind.code for name, kind in types.items()} == {
        "n": "i8",
        "a": "f8",
        "b": "f8",
        "c": "b1",
    }


INSIDE = """
def f(x, y, n):
    for i in range(1, n):
        y[i*n] = x[i*n] + 1.0
    for i in range(n):
        for j in range(n):
            x[i*n + j] *= 2.0
"""
ALONE = """
def f(x, y, n):
    for i in range(1, n):
        y[i*n] = x[i*n] + 1.0
    for i in range(n):
        x[i] *= 2.0
"""


@pytest.mark.parametrize(("text", "passes"), [(INSIDE, "few"), (ALONE, "all")])
def test_a_loop_over_an_edge_leaves_the_vectors_of_the_inside(text: str, passes: str) -> None:
    source = KernelSource("f", ("f8", "f8"), 1, text)
    (kernel,) = compile_kernels([source])
    x, n = np.linspace(0.0, 1.0, 81), 9
    y = np.zeros(81)
    expected_x, expected_y = x.copy(), y.copy()
    expected_y[n::n] = x[n::n] + 1.0
    expected_x[: 81 if text is INSIDE else n] *= 2.0
    assert call_kernel(kernel, [x, y], n) == 0
    np.testing.assert_array_equal(x, expected_x)
    np.testing.assert_array_equal(y, expected_y)
    assert kernel_text(source, "kernel").passes == passes


def test_rows_of_bools_are_kept_as_bytes() -> None:
    text = """
def f(x, y):
    for j in range(6):
        y[j] = False
    for i in range(4):
        for j in range(6):
            large = x[i*6 + j] > 1.0
            y[j] = y[j] | large
"""
    (kernel,) = compile_kernels([KernelSource("f", ("f8", "b1"), 0, text)])
    x, y = np.linspace(-1.0, 1.2, 24), np.zeros(6, bool)
    assert call_kernel(kernel, [x, y]) == 0
    np.testing.assert_array_equal(y, np.any(x.reshape(4, 6) > 1.0, axis=0))


# --- the same bits wherever a value is computed ---------------------------------------------------

ONE_OPERAND = sorted(n for n, f in vmath.FUNCTIONS.items() if (f.family, f.arity) == ("float", 1))
TWO_OPERANDS = ("power", "arctan2", "hypot", "logaddexp")


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize("name", [*ONE_OPERAND, *TWO_OPERANDS])
def test_a_function_gives_a_number_the_bits_of_an_element(name: str, dtype: str) -> None:
    operands = "x[i]" if name in ONE_OPERAND else "x[i], 0.75"
    text = f"def f(x, y, n):\n    for i in range(n):\n        y[i] = {name}({operands})\n"
    (kernel,) = compile_kernels([KernelSource("f", (dtype, dtype), 1, text)])
    x = np.concatenate([np.linspace(0.01, 0.99, 23), [1.5, 3e8, 40.0, 1e-300, 0.0]]).astype(dtype)
    together, apart = np.zeros_like(x), np.zeros_like(x)
    assert call_kernel(kernel, [x, together], x.size) == 0
    for i in range(x.size):
        assert call_kernel(kernel, [x[i:], apart[i:]], 1) == 0
    np.testing.assert_array_equal(apart, together)


SUM = """
    t = 0.0
    for i in range(n):
        t = fold_add(t, x[i])
    y[0] = t
"""
BESIDE_MUCH = """
    t = 0.0
    for i in range(n):
        z[i] = sin(exp(x[i])) + tanh(x[i]) * erf(x[i]) + log1p(x[i])
        t = fold_add(t, x[i])
    y[0] = t
"""
BESIDE_SOME = """
    t = 0.0
    u = 0.0
    for i in range(n):
        z[i] = exp(x[i])
        u = fold_add(u, x[i] * x[i])
        t = fold_add(t, x[i])
    y[0] = t
"""
IN_A_WHILE = """
    k = 0
    while True:
        if not k < 2:
            break
        t = 0.0
        for i in range(n):
            t = fold_add(t, x[i])
        y[0] = t
        k = k + 1
"""


@pytest.mark.parametrize("n", [*range(1, 20), 31, 32, 33, 63, 64, 65, 100, 257, 1000])
def test_a_sum_has_one_order_whatever_stands_beside_it(n: int) -> None:
    x = np.random.default_rng(n).standard_normal(n)
    found = set()
    for body in (SUM, BESIDE_MUCH, BESIDE_SOME, IN_A_WHILE):
        text = "def f(x, y, z, n):" + body
        (kernel,) = compile_kernels([KernelSource("f", ("f8",) * 3, 1, text)])
        y, z = np.zeros(1), np.zeros(n)
        assert call_kernel(kernel, [x, y, z], n) == 0
        found.add(y.tobytes())
    assert len(found) == 1
    np.testing.assert_allclose(y[0], x.sum(), rtol=1e-12, atol=1e-12)


APART = {
    "two apart": ("i * 2", lambda x: np.repeat(x, 2)),
    "three apart": ("3 * i + 1", lambda x: np.repeat(x, 3)),
    "backwards": ("n - 1 - i", lambda x: x[::-1].copy()),
    "a stride": ("i * n", lambda x: np.repeat(x, len(x))),
    "indexed": ("int64(k[i])", lambda x: x[::-1].copy()),
}


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", [1, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100, 257])
def test_a_sum_has_one_order_wherever_its_elements_lie(n: int, dtype: str) -> None:
    x = np.random.default_rng(n).standard_normal(n).astype(dtype)
    k = np.arange(n)[::-1].copy()
    z = np.zeros(2 * n)
    found = set()
    for place, held in (("i", lambda x: x), *APART.values()):
        for beside in ("pass", "z[i * 2] = exp(t)", "z[i] = floor_divide(x[i], 0.3) + k[i]"):
            text = f"def f(x, y, z, k, n):\n t = {zero(dtype)}\n for i in range(n):\n"
            text += f"  v = x[{place}]\n"
            text += "" if beside == "pass" else f"  {beside.replace('(t)', '(v)')}\n"
            text += "  t = fold_add(t, v)\n y[0] = t"
            source = KernelSource("f", (dtype, dtype, "f8", "i8"), 1, text)
            (kernel,) = compile_kernels([source])
            y = np.zeros(1, dtype)
            given = np.ascontiguousarray(held(x))
            assert call_kernel(kernel, [given, y, z, k], n) == 0
            found.add(y.tobytes())
    assert len(found) == 1
    np.testing.assert_allclose(y[0], x.sum(), rtol=1e-4, atol=1e-4)


def zero(dtype: str) -> str:
    return {"f4": "float32(0.0)", "f8": "0.0"}[dtype]
