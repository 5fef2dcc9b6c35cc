"""Benchmarks against NumPy, autograd and JAX: `python -m benchmarks` (extra `bench`).

`programs` is the table of programs, `contestants` runs them on every package, `timing` compares
them in interleaved rounds. Importing this package pins all of them to one thread.
"""

from __future__ import annotations

import os

# BLAS and XLA read these once, when NumPy and JAX are first imported.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
