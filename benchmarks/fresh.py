"""The first gradient in a process of its own: `python -m benchmarks.fresh PROGRAM PACKAGE CLOCK`.

Prints, as JSON, the seconds of importing the package, those of the first gradient (tracing,
compiling, running), and the peak of the process's memory after some calls, from the operating
system. `first_gradient` starts such a process.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path


@dataclass(frozen=True)
class First:
    """What a fresh process took for its first gradient, and its peak memory."""

    import_seconds: float
    gradient_seconds: float
    peak_bytes: int


def first_gradient(program: str, package: str, cache: str, clock: str) -> First:
    """Measure in a new process, with adgraph's kernel cache in the folder `cache`.

    Modules are there as bytecode, as they are once a package was installed or imported.
    """
    command = [sys.executable, "-m", "benchmarks.fresh", program, package, clock]
    _write_bytecode(package)
    environment = {**_environment(), "ADGRAPH_CACHE_DIR": cache}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return First(**json.loads(done.stdout.splitlines()[-1]))


@functools.cache
def _write_bytecode(package: str) -> None:
    """Import what a measurement imports, so that it need not compile modules of Python."""
    command = [sys.executable, "-c", f"import benchmarks.peers.in_{package}"]
    subprocess.run(command, env=_environment(), check=True, capture_output=True)


def _environment() -> dict[str, str]:
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": path}


def main() -> None:
    """Measure in this process."""
    name, package, kind = sys.argv[1:]
    clock = time.process_time if kind == "cpu" else time.perf_counter
    start = clock()
    import_module(package)
    imported = clock() - start
    contestant = import_module(f"benchmarks.peers.in_{package}").contestant()
    (program,) = (p for p in import_module("benchmarks.suite").PROGRAMS if p.name == name)
    arguments = program.arguments()
    start = clock()
    run = contestant.derivative(program, arguments)
    run()
    first = clock() - start
    for _ in range(3):
        run()
    found = {
        "import_seconds": imported,
        "gradient_seconds": first,
        "peak_bytes": _peak_bytes(),
    }
    print(json.dumps(found))


def _peak_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
