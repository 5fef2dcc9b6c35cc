"""The exception tree and the one function that words an error about the user's code.

    AdgraphError
    +-- TracingError        (TypeError)   a construct that cannot become part of a graph
    +-- ShapeError          (ValueError)  shapes or values that do not fit
    |   +-- MatrixError     (LinAlgError) a matrix that numpy.linalg refuses
    +-- DtypeError          (TypeError)   dtypes that do not fit or are not supported
    +-- AxisIndexError      (IndexError)  an index or axis outside its array
    |   +-- NoAxisError     (AxisError)   an axis that an array does not have
    +-- DerivativeError     (TypeError)   a derivative that was asked for does not exist
    +-- BudgetError         (MemoryError) no schedule fits the given memory
    +-- CapacityError       (MemoryError) a loop ran longer than its tape: the runtime doubles it
    +-- ArenaError          (MemoryError) the machine does not give a program its memory
    +-- BackendError        (ValueError)  no such compiler of kernels, or not on this machine
    +-- GraphError          (Exception)   a broken invariant of a graph: a bug, or a hand-made graph

Every message about user code has four parts: what was found, where, why, what to write instead.
"""

from __future__ import annotations

import functools
import importlib.util
import linecache
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np


class AdgraphError(Exception):
    """Anything that adgraph refuses."""


class TracingError(AdgraphError, TypeError):
    """A construct of the traced function cannot become part of a graph."""


class ShapeError(AdgraphError, ValueError):
    """Shapes or values do not fit together."""


class MatrixError(ShapeError, np.linalg.LinAlgError):
    """A matrix has a shape that `numpy.linalg` refuses."""


class DtypeError(AdgraphError, TypeError):
    """A dtype is not supported, or dtypes do not fit together."""


class AxisIndexError(AdgraphError, IndexError):
    """An index or an axis lies outside its array."""


class NoAxisError(AxisIndexError, np.exceptions.AxisError):
    """An axis does not exist: NumPy's error for it."""


class DerivativeError(AdgraphError, TypeError):
    """The derivative asked for does not exist."""


class BudgetError(AdgraphError, MemoryError):
    """No schedule of the program fits into the given memory: `least` bytes were found to work."""

    least: int | None = None


class CapacityError(AdgraphError, MemoryError):
    """A loop of unknown length has made more trips than its tape has room for.

    The line of the loop has the number `mark` (`adgraph.ops.control.mark`).
    """

    mark: int = 0


class ArenaError(AdgraphError, MemoryError):
    """The machine does not give a program the memory it needs."""


class BackendError(AdgraphError, ValueError):
    """There is no such compiler of kernels, or it does not work on this machine."""


class BackendWarning(UserWarning):
    """Kernels are compiled by another compiler than the default one."""


class GraphError(AdgraphError):
    """A graph breaks an invariant."""


@dataclass(frozen=True, slots=True)
class Location:
    """A line of the user's program."""

    file: str
    line: int

    def __str__(self) -> str:
        path = Path(self.file)
        name = "cell" if path.parent.name.startswith("ipykernel_") else path.name
        return f"{name}:{self.line}"

    def source(self) -> str:
        """Return the text of the line, stripped, or the empty string."""
        return linecache.getline(self.file, self.line).strip()


def package_folder(name: str) -> str:
    """Return the folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent)


_OWN = (str(Path(__file__).parent), package_folder("numpy"), "<frozen")
_SKIPPED = (*_OWN, package_folder("scipy"), package_folder("numba"))
_CONTAINERS = ("numpy.ma", "numpy.polynomial", "numpy.matrixlib", "numpy.testing")
_DEMO = str(Path(__file__).with_name("demo.py"))  # its loss is a user's program


def user_location() -> Location | None:
    """Return the innermost line on the stack that is not of adgraph, NumPy, SciPy or Numba."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if _is_users(name):
            return Location(name, frame.f_lineno)
        frame = frame.f_back
    return None


@functools.lru_cache(maxsize=1024)
def _is_users(file: str) -> bool:
    return file == _DEMO or not file.startswith(_SKIPPED)


def location_of(error: BaseException) -> Location | None:
    """Return the innermost line of the user's that an exception came through."""
    return next(iter(locations(error)[::-1]), None)


def locations(error: BaseException) -> list[Location]:
    """Return the lines of the user's that an exception came through, the outermost first."""
    frames = traceback.walk_tb(error.__traceback__)
    found = [(frame.f_code.co_filename, line) for frame, line in frames]
    return [Location(file, line) for file, line in found if not file.startswith(_SKIPPED)]


def library_call() -> str | None:
    """Name the function of SciPy, or of a class of NumPy's, that the user's line has called.

    Of what a library calls its functions through, such as a decorator, the module is named.
    """
    frame: FrameType | None = sys._getframe(1)
    name = None
    while frame is not None and frame.f_code.co_filename.startswith(_SKIPPED):
        module = frame.f_globals.get("__name__", "scipy").partition("._")[0]
        if not frame.f_code.co_filename.startswith(_OWN) or module.startswith(_CONTAINERS):
            public = hasattr(sys.modules.get(module), frame.f_code.co_name)
            if public:
                name = f"{module}.{frame.f_code.co_name}"
            elif name is None or not name.startswith(module):
                name = module
        frame = frame.f_back
    return name


def message(found: str, why: str = "", instead: str = "", at: Location | None = None) -> str:
    """Word an error: what was found, where in the user's program, why, and what to write."""
    at = at or user_location()
    lines = [found]
    if at is not None:
        source = at.source()
        lines.append(f"  at {at.file}:{at.line}" + (f": {source}" if source else ""))
    if why:
        lines.append(f"  why: {why}")
    if instead:
        lines.append(f"  instead: {instead}")
    return "\n".join(lines)
