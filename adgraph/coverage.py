"""What every function of NumPy and every ufunc of `scipy.special` does inside a trace.

`forms()` reads the statuses from the tables in which functions are entered, and from the records of
ops; `report()` words them as `docs/coverage.md`. Begin with `status_of`.
"""

from __future__ import annotations

import enum
import importlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy

from adgraph.ops.scipy_special import stand_in
from adgraph.tracing.hooks import REPLACED
from adgraph.tracing.numpy_api.refusals import PLAIN, REFUSALS, reason_of
from adgraph.tracing.numpy_api.table import (
    CONSTANT,
    FUNCTIONS,
    METHODS,
    UFUNC_METHODS,
    op_of_ufunc,
)


class Status(enum.Enum):
    """What happens to a function that is called with traced arrays."""

    DERIVATIVES = "works, with derivatives"
    CONSTANT = "works, has no derivative"
    PLAIN = "is not about the elements of arrays: called as it is"
    REFUSED = "refused, with the reason"
    MISSING = "missing"


WORKS = (Status.DERIVATIVES, Status.CONSTANT)


@dataclass(frozen=True)
class Form:
    """One callable by the name under which users call it."""

    space: str
    name: str
    function: Any
    status: Status

    @property
    def full_name(self) -> str:
        """The name with its module, as in messages."""
        return f"{self.space}.{self.name}"


def forms() -> list[Form]:
    """Return all functions of the covered namespaces, and the methods of arrays and ufuncs."""
    return [form for space in (*_MODULES, *_METHODS) for form in forms_of(space)]


def forms_of(space: str) -> list[Form]:
    """Return the callables of one of the `SPACES`.

    >>> [f.status.name for f in forms_of("np.fft") if f.name in ("rfft", "test")]
    ['DERIVATIVES', 'PLAIN']
    """
    if space in _METHODS:
        return list(_METHODS[space]())
    module, everything = _MODULES[space]
    found = []
    for name, function in _public(importlib.import_module(module)):
        form = Form(space, name, function, status_of(f"{space}.{name}", function))
        if form.status is not Status.MISSING or everything(function):
            found.append(form)
    return found


def status_of(name: str, function: Any) -> Status:
    """Return the status of a function from where it is entered."""
    known = stand_in(function)
    op = op_of_ufunc(known) if isinstance(function, np.ufunc) else None
    if known in FUNCTIONS or op is not None:
        constant = known in CONSTANT or (op is not None and not op.differentiable)
        return Status.CONSTANT if constant else Status.DERIVATIVES
    if reason_of(name) is not None:
        return Status.REFUSED
    if name in PLAIN:
        return Status.PLAIN
    if known in REPLACED:
        return Status.CONSTANT if known in CONSTANT else Status.DERIVATIVES
    return Status.MISSING


def _public(space: Any) -> Iterator[tuple[str, Any]]:
    """Return the functions of a module, or the methods of a class."""
    for name in sorted(dir(space)):
        function = getattr(space, name)
        if callable(function) and not name.startswith("_") and not inspect.isclass(function):
            yield name, function


def _is_ufunc(function: Any) -> bool:
    return isinstance(function, np.ufunc)


def _every(function: Any) -> bool:
    return True


def _only_entered(function: Any) -> bool:
    return False


# The spaces that are modules, and which of their functions must have a status.
_MODULES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "np": ("numpy", _every),
    "np.linalg": ("numpy.linalg", _every),
    "np.fft": ("numpy.fft", _every),
    "scipy.special": ("scipy.special", _is_ufunc),
    "scipy.linalg": ("scipy.linalg", _only_entered),
    "scipy.fft": ("scipy.fft", _only_entered),
    "scipy.integrate": ("scipy.integrate", _only_entered),
    "scipy.signal": ("scipy.signal", _only_entered),
    "math": ("math", _only_entered),
}


def _array_methods() -> Iterator[Form]:
    for name in sorted({*METHODS, *(name for name, _ in _public(np.ndarray))}):
        status = Status.CONSTANT if name in CONSTANT else Status.DERIVATIVES
        if reason_of(f"ndarray.{name}") is not None:
            status = Status.REFUSED
        elif name not in METHODS:
            status = Status.MISSING
        yield Form("ndarray", name, getattr(np.ndarray, name), status)


def _ufunc_methods() -> Iterator[Form]:
    """`outer` works for every ufunc of two operands that does."""
    keys = {*UFUNC_METHODS, *((f.function, "outer") for f in forms_of("np") if _has_outer(f))}
    for ufunc, how in sorted(keys, key=lambda key: (key[0].__name__, key[1])):
        constant = (ufunc, how) in CONSTANT
        if how == "outer":
            constant = status_of(ufunc.__name__, ufunc) is Status.CONSTANT
        status = Status.CONSTANT if constant else Status.DERIVATIVES
        yield Form("ufunc", f"{ufunc.__name__}.{how}", getattr(ufunc, how), status)


def _has_outer(form: Form) -> bool:
    ufunc = form.function
    binary = isinstance(ufunc, np.ufunc) and ufunc.nin == 2 and ufunc.signature is None
    return binary and form.status in WORKS


_METHODS: dict[str, Callable[[], Iterator[Form]]] = {
    "ndarray": _array_methods,
    "ufunc": _ufunc_methods,
}

TITLES = {
    "np": "`numpy`",
    "np.linalg": "`numpy.linalg`",
    "np.fft": "`numpy.fft`",
    "scipy.special": "`scipy.special`: all ufuncs, and the Python functions that work",
    "scipy.linalg": "`scipy.linalg`: what works",
    "scipy.fft": "`scipy.fft`: what works",
    "scipy.integrate": "`scipy.integrate`: what works",
    "scipy.signal": "`scipy.signal`: what works, along one axis",
    "math": "`math`: what works on traced numbers",
    "ndarray": "Methods of arrays",
    "ufunc": "Methods of ufuncs",
}


# --- the report -----------------------------------------------------------------------------------


def report() -> str:
    """Return the text of `docs/coverage.md`."""
    found = forms()
    lines = [*_head(found), *(line for space in TITLES for line in _section(space, found))]
    return "\n".join(lines).rstrip()


def _head(found: Sequence[Form]) -> list[str]:
    counts = {status: sum(f.status is status for f in found) for status in Status}
    working = counts[Status.DERIVATIVES] + counts[Status.CONSTANT]
    lines = [
        "# Coverage",
        "",
        "Written by `python -m adgraph coverage` from the tables of adgraph, for NumPy "
        f"{np.__version__} and SciPy {scipy.__version__}.",
        f"A test compares it with the installed ones. **{working} callable forms are traced, "
        f"{counts[Status.DERIVATIVES]} of them with derivatives.**",
        "",
        "| " + " | ".join(["", *(s.value for s in Status if counts[s])]) + " |",
        "|---|" + "---|" * sum(counts[s] > 0 for s in Status),
    ]
    for space in TITLES:
        row = [f for f in found if f.space == space]
        cells = [str(sum(f.status is s for f in row)) for s in Status if counts[s]]
        lines.append("| " + " | ".join([f"`{space}`", *cells]) + " |")
    totals = [f"**{counts[s]}**" for s in Status if counts[s]]
    return [*lines, "| " + " | ".join(["sum", *totals]) + " |", ""]


def _section(space: str, found: Sequence[Form]) -> Iterator[str]:
    row = [f for f in found if f.space == space]
    yield f"## {TITLES[space]}"
    yield ""
    for status in Status:
        names = [f.name for f in row if f.status is status]
        if not names:
            continue
        yield f"{status.value.capitalize()} ({len(names)}):"
        yield ""
        yield from _reasons(space, names) if status is Status.REFUSED else [_listed(names)]
        yield ""


def _reasons(space: str, names: Sequence[str]) -> Iterator[str]:
    for refusal in REFUSALS:
        group = [name for name in names if f"{space}.{name}" in refusal.names]
        if group:
            yield f"- {_listed(group)}: {refusal.why}. Instead: {refusal.instead}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
