"""One gradient in a process of its own: `python -m benchmarks.memory.fresh NAME PACKAGE WAY FILE`.

Prints, as JSON, the bytes that calls add to the process at most, from the operating system, and the
least seconds of a call; the file gets the gradient. `measured` starts such a process.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.memory.programs import PROGRAMS

CALLS = 3
NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Measured:
    """What one way to take a gradient needs; `refusal` is why it cannot be."""

    bytes: int
    seconds: float
    refusal: str = ""


def measured(name: str, package: str, way: str, file: Path) -> Measured:
    """Measure in new processes: the bytes in one that gives freed blocks back, seconds as it is.

    The C library keeps freed blocks of some MB, which PyTorch makes many of, and new ones do not
    always fit into them.
    """
    exact = _started(name, package, way, file, {"MALLOC_MMAP_THRESHOLD_": "65536"})
    if exact.refusal:
        return exact
    return replace(_started(name, package, way, file), bytes=exact.bytes)


def _started(
    name: str, package: str, way: str, file: Path, setting: Mapping[str, str] = NOTHING
) -> Measured:
    command = [sys.executable, "-m", "benchmarks.memory.fresh", name, package, way, str(file)]
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, **setting, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode:
        return Measured(0, 0.0, (done.stderr.strip().splitlines() or ["no output"])[-1])
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure in this process."""
    name, package, way, file = sys.argv[1:]
    (program,) = (p for p in PROGRAMS if p.name == name)
    arguments = program.arguments()
    try:
        run = import_module(f"benchmarks.memory.in_{package}").prepare(program, way, arguments)
    except MemoryError as error:  # a budget that cannot be kept
        print(json.dumps({"bytes": 0, "seconds": 0.0, "refusal": str(error).splitlines()[0]}))
        return
    gc.collect()
    _give_back()
    before = _reset_peak()
    seconds = [_timed(run)[0] for _ in range(CALLS - 1)]
    last, (_, gradients) = _timed(run)
    added = _status("VmHWM") - before
    np.savez(file, *map(np.asarray, gradients))
    print(json.dumps({"bytes": added, "seconds": min(*seconds, last)}))


def _timed(run: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()  # what calls before have left in cycles
    begin = time.process_time()
    result = run()
    return time.process_time() - begin, result


def _give_back() -> None:
    """Have the C library return what compiling has freed, or calls would use it unseen."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _reset_peak() -> int:
    """Let the peak begin anew (Linux); return the bytes that are in use."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def _status(field: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
