"""Benchmarks of gradients against other packages: `python -m benchmarks` (extra `bench`).

`suite` has the programs, `peers` runs them in every package, `measure` compares, `fresh` measures
first calls in new processes, `report` writes. Importing this package gives each one thread.
"""

from __future__ import annotations

import os

# BLAS and XLA read these once, when NumPy and JAX are first imported.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
# XLA's flags alone leave it two threads (CPU time / time = 1.5 on two cores). With one its small
# programs are slower, so set PJRT_NPROC to see it with more.
os.environ.setdefault("PJRT_NPROC", "1")
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
