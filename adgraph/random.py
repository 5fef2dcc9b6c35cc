"""Random numbers from explicit keys, for traced functions and outside.

A draw of `np.random` inside a traced function is made once, while tracing, and is a constant of the
program. Here a key is an array of two uint32: the same key gives the same numbers, `split` makes
independent ones, and draws are computed by the program, elementwise, wherever it is traced. The
numbers are those of `jax.random`: the generator is Threefry-2x32 with 20 rounds (Salmon, Moraes,
Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Begin with `key`.

>>> import numpy as np
>>> from adgraph import grad, random
>>> def loss(mean, scale, k):
...     x = mean + scale * random.normal(k, (1000,))
...     return np.mean(x**2)
>>> np.round(grad(loss)(0.5, 2.0, random.key(0)), 1)
np.float64(0.9)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adgraph.errors import DtypeError, ShapeError, message
from adgraph.ir.op import type_of
from adgraph.ops.scipy_special import special

__all__ = ["bernoulli", "bits", "fold_in", "key", "normal", "split", "uniform"]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)


def key(seed: int) -> Any:
    """Return the key of a seed, an array of two uint32.

    >>> key(7)
    array([0, 7], dtype=uint32)
    """
    number = int(seed) % 2**64
    return np.array([number >> 32, number % 2**32], np.uint32)


def split(key: Any, num: int = 2) -> Any:
    """Return independent keys as rows of an array.

    >>> k1, k2 = split(key(0))
    >>> k1.shape, bool(np.all(k1 == k2))
    ((2,), False)
    """
    return np.stack(_counted(key, (int(num),)), axis=1)


def fold_in(key: Any, data: Any) -> Any:
    """Return the key that a key and an integer make, such as the number of a trip of a loop."""
    whole = data if hasattr(data, "astype") else np.asarray(data)
    count = np.reshape(whole.astype(np.uint32), (1,))
    words = _threefry(_words(key), np.zeros(1, np.uint32), count)
    return np.concatenate(words)


def bits(key: Any, shape: Any = (), width: int = 32) -> Any:
    """Return random bits: an array of uint32, or of uint64 with `width=64`."""
    first, second = _counted(key, shape if isinstance(shape, (tuple, list)) else (shape,))
    if width == 32:
        return first ^ second
    if width != 64:
        raise ShapeError(message(f"random.bits: width={width} is neither 32 nor 64"))
    return first.astype(np.uint64) << np.uint64(32) | second.astype(np.uint64)


def uniform(
    key: Any, shape: Any = (), dtype: Any = float, minval: Any = 0.0, maxval: Any = 1.0
) -> Any:
    """Return numbers evenly distributed in [minval, maxval), which have derivatives by both.

    >>> uniform(key(0), (2,)).dtype
    dtype('float64')
    """
    unit = _unit(key, shape, _real(dtype))
    low, high = _as(minval, unit.dtype), _as(maxval, unit.dtype)
    return np.maximum(unit * (high - low) + low, low)


def normal(key: Any, shape: Any = (), dtype: Any = float) -> Any:
    """Return numbers of the standard normal distribution.

    Those of another one, `mean + scale * normal(key, shape)`, have derivatives by both.

    >>> draws = normal(key(1), (10000,))
    >>> bool(abs(np.mean(draws)) < 0.05), bool(abs(np.std(draws) - 1) < 0.05)
    (True, True)
    """
    real = _real(dtype)
    low = np.nextafter(real.type(-1), real.type(0))
    return real.type(math.sqrt(2)) * special.erfinv(uniform(key, shape, real, low, real.type(1)))


def bernoulli(key: Any, p: Any = 0.5, shape: Any = None) -> Any:
    """Return bools that are true with probability `p`; they have no derivative by it."""
    return uniform(key, np.shape(p) if shape is None else shape) < p


# --- the generator --------------------------------------------------------------------------------


def _words(key: Any) -> tuple[Any, Any]:
    found = type_of(key)
    if found.shape != (2,) or found.dtype != np.uint32:
        raise DtypeError(
            message(
                f"{found} is no key",
                "a key is an array of two uint32",
                "make one with adgraph.random.key(seed), and several with random.split(key, n)",
            )
        )
    return key[:1], key[1:]


def _counted(key: Any, shape: Any) -> tuple[Any, Any]:
    """Encrypt the numbers of the elements of an array."""
    extents = tuple(int(n) for n in shape)
    count = math.prod(extents)
    numbers = np.arange(count, dtype=np.uint64)
    high = (numbers >> np.uint64(32)).astype(np.uint32)
    first, second = _threefry(_words(key), high, numbers.astype(np.uint32))
    return np.reshape(first, extents), np.reshape(second, extents)


def _threefry(key: tuple[Any, Any], first: Any, second: Any) -> tuple[Any, Any]:
    schedule = (*key, key[0] ^ key[1] ^ _PARITY)
    x, y = first + schedule[0], second + schedule[1]
    for i in range(5):
        for distance in _ROTATIONS[i % 2]:
            x = x + y
            y = (y << np.uint32(distance)) | (y >> np.uint32(32 - distance))
            y = y ^ x
        x = x + schedule[(i + 1) % 3]
        y = y + schedule[(i + 2) % 3] + np.uint32(i + 1)
    return x, y


def _unit(key: Any, shape: Any, dtype: np.dtype[Any]) -> Any:
    """Return numbers in [0, 1), with as many random bits as a mantissa has behind the point."""
    width, mantissa = (64, 52) if dtype == np.float64 else (32, 23)
    drawn = bits(key, shape, width)
    whole = drawn >> drawn.dtype.type(width - mantissa)
    return whole.astype(dtype) * dtype.type(2.0**-mantissa)


def _real(dtype: Any) -> np.dtype[Any]:
    found: np.dtype[Any] = np.dtype(dtype)
    if found.char not in "fd":
        raise DtypeError(message(f"random numbers of dtype {found}", "they are float32 or float64"))
    return found


def _as(x: Any, dtype: np.dtype[Any]) -> Any:
    return x.astype(dtype) if hasattr(x, "astype") else dtype.type(x)
