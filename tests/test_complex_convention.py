"""The convention of complex gradients beside JAX, whose it is, and PyTorch, which conjugates.

Programs are written once, in a namespace `xp`: NumPy's as it is traced, JAX's, or PyTorch's. Of a
real function PyTorch's gradient is the conjugate of JAX's; its pullback takes and gives conjugates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from adgraph import grad, hvp, jacobian, jvp, vjp

RNG = np.random.default_rng(11)
Z, V, CT = (RNG.normal(size=3) + 1j * RNG.normal(size=3) for _ in range(3))
M = RNG.normal(size=(3, 3)) + 1j * RNG.normal(size=(3, 3)) + np.diag([2.0, 4.0, 6.0])
WEIGHTS = np.array([1.0, 2.0, 4.0])

Program = Callable[..., Any]


def _spectrum(xp: Any, z: Any, m: Any, weights: Any) -> Any:
    a = m * z
    values, vectors = xp.linalg.eigh(a + xp.conj(a).T)
    return xp.sum(xp.sin(values)) + xp.sum(xp.abs(vectors) ** 2 @ weights)


def _singular(xp: Any, z: Any, m: Any, weights: Any) -> Any:
    u, s, vh = xp.linalg.svd(m * z, full_matrices=False)
    return xp.sum(xp.sin(s)) + xp.sum(xp.abs(u) ** 2 @ weights) + xp.sum(weights @ xp.abs(vh) ** 2)


# Real functions of complex numbers.
LOSSES: dict[str, Program] = {
    "fourth power of the modulus": lambda xp, z, m, w: xp.sum(xp.abs(z) ** 4),
    "modulus": lambda xp, z, m, w: xp.sum(xp.abs(z) * w),
    "angle": lambda xp, z, m, w: xp.sum(xp.angle(z) * xp.abs(z)),
    "conjugate": lambda xp, z, m, w: xp.real(xp.sum(xp.conj(z) * z**3)),
    "parts": lambda xp, z, m, w: xp.sum(xp.real(z) ** 2 * xp.imag(z)),
    "elementary functions": lambda xp, z, m, w: xp.imag(xp.sum(xp.exp(z) / xp.sqrt(z) + xp.log(z))),
    "fft": lambda xp, z, m, w: xp.sum(xp.abs(xp.fft.fft(z * z)) ** 2 * w),
    "irfft": lambda xp, z, m, w: xp.sum(xp.fft.irfft(z, 5) ** 3),
    "solve": lambda xp, z, m, w: xp.sum(xp.abs(xp.linalg.solve(m * z, z)) ** 2),
    "determinant": lambda xp, z, m, w: xp.abs(xp.linalg.det(m * z)),
    "slogdet": lambda xp, z, m, w: xp.linalg.slogdet(m * z)[1],
    "eigh": _spectrum,
    "svd": _singular,
}
# Complex functions of complex numbers, the first few of them holomorphic.
HOLOMORPHIC: dict[str, Program] = {
    "cube": lambda xp, z, m, w: z**3,
    "exponential": lambda xp, z, m, w: xp.exp(z) * w,
    "matrix": lambda xp, z, m, w: m @ xp.sin(z),
    "transform": lambda xp, z, m, w: xp.fft.fft(z * z),
    "solution": lambda xp, z, m, w: xp.linalg.solve(m, z) * z,
}
COMPLEX: dict[str, Program] = {
    **HOLOMORPHIC,
    "conjugate": lambda xp, z, m, w: xp.conj(z) * w,
    "phase": lambda xp, z, m, w: z / xp.abs(z),
    "modulus times number": lambda xp, z, m, w: xp.abs(z) * z,
    "real part times number": lambda xp, z, m, w: xp.real(z) * z + 1j * xp.imag(z),
}
each_loss = pytest.mark.parametrize("name", LOSSES)
each_complex = pytest.mark.parametrize("name", COMPLEX)


def agree(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), rtol=1e-9, atol=1e-9)


def in_numpy(program: Program) -> Callable[[Any], Any]:
    return lambda z: program(np, z, M, WEIGHTS)


def _length(gradient: Any, xp: Any) -> Callable[[Any], Any]:
    """Return the square of the length of a gradient."""
    return lambda z: xp.sum(xp.abs(gradient(z)) ** 2)


# --- JAX ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def jax() -> Iterator[Any]:
    found = pytest.importorskip("jax")
    with found.enable_x64(True):
        yield found


def in_jax(jax: Any, program: Program) -> Callable[[Any], Any]:
    return lambda z: program(jax.numpy, z, M, WEIGHTS)


@each_loss
def test_the_gradient_of_a_real_function_is_jaxs(jax: Any, name: str) -> None:
    agree(grad(in_numpy(LOSSES[name]))(Z), jax.grad(in_jax(jax, LOSSES[name]))(Z))


@each_loss
def test_the_derivative_in_a_direction_is_jaxs(jax: Any, name: str) -> None:
    found = jvp(in_numpy(LOSSES[name]), (Z,), (V,))
    wanted = jax.jvp(in_jax(jax, LOSSES[name]), (Z,), (V,))
    for mine, theirs in zip(found, wanted, strict=True):
        agree(mine, theirs)


@each_loss
def test_second_derivatives_are_jaxs(jax: Any, name: str) -> None:
    mine, theirs = in_numpy(LOSSES[name]), in_jax(jax, LOSSES[name])
    agree(hvp(mine)(Z, V), jax.jvp(jax.grad(theirs), (Z,), (V,))[1])


@pytest.mark.parametrize("name", ["fourth power of the modulus", "angle", "conjugate", "solve"])
def test_the_gradient_of_a_gradient_is_jaxs(jax: Any, name: str) -> None:
    mine = _length(grad(in_numpy(LOSSES[name])), np)
    theirs = _length(jax.grad(in_jax(jax, LOSSES[name])), jax.numpy)
    agree(grad(mine)(Z), jax.grad(theirs)(Z))


@each_complex
def test_the_pullback_of_a_complex_function_is_jaxs(jax: Any, name: str) -> None:
    _, mine = vjp(in_numpy(COMPLEX[name]), Z)
    _, theirs = jax.vjp(in_jax(jax, COMPLEX[name]), Z)
    agree(mine(CT)[0], theirs(CT)[0])


@each_complex
def test_the_pushforward_of_a_complex_function_is_jaxs(jax: Any, name: str) -> None:
    found = jvp(in_numpy(COMPLEX[name]), (Z,), (V,))[1]
    agree(found, jax.jvp(in_jax(jax, COMPLEX[name]), (Z,), (V,))[1])


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_the_jacobian_of_a_holomorphic_function_is_jaxs(jax: Any, name: str) -> None:
    program = HOLOMORPHIC[name]
    agree(jacobian(in_numpy(program))(Z), jax.jacrev(in_jax(jax, program), holomorphic=True)(Z))


# --- PyTorch: gradients are conjugates, pullbacks take and give conjugates ------------------------


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


def in_torch(torch: Any, program: Program) -> Callable[[Any], Any]:
    m, weights = torch.from_numpy(M), torch.from_numpy(WEIGHTS)
    return lambda z: program(torch, z, m, weights)


@each_loss
def test_the_gradient_of_a_real_function_is_the_conjugate_of_torchs(torch: Any, name: str) -> None:
    z = torch.from_numpy(Z.copy()).requires_grad_()
    in_torch(torch, LOSSES[name])(z).backward()
    agree(grad(in_numpy(LOSSES[name]))(Z), np.conj(z.grad.numpy()))


@each_loss
def test_second_derivatives_are_the_conjugates_of_torchs(torch: Any, name: str) -> None:
    gradient = torch.func.grad(in_torch(torch, LOSSES[name]))
    z, v = torch.from_numpy(Z.copy()), torch.from_numpy(V.copy())
    _, change = torch.func.jvp(gradient, (z,), (v,))
    agree(hvp(in_numpy(LOSSES[name]))(Z, V), np.conj(change.resolve_conj().numpy()))


@each_complex
def test_a_pullback_of_torch_takes_and_gives_conjugates(torch: Any, name: str) -> None:
    _, mine = vjp(in_numpy(COMPLEX[name]), Z)
    _, theirs = torch.func.vjp(in_torch(torch, COMPLEX[name]), torch.from_numpy(Z.copy()))
    (pulled,) = theirs(torch.from_numpy(CT.conj()))
    agree(mine(CT)[0], np.conj(pulled.resolve_conj().numpy()))


@each_complex
def test_a_pushforward_of_torch_is_the_same(torch: Any, name: str) -> None:
    z, v = torch.from_numpy(Z.copy()), torch.from_numpy(V.copy())
    _, change = torch.func.jvp(in_torch(torch, COMPLEX[name]), (z,), (v,))
    found = jvp(in_numpy(COMPLEX[name]), (Z,), (V,))[1]
    agree(found, change.resolve_conj().numpy())
