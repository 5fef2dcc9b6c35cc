"""Bytes and seconds of gradients under memory budgets, beside checkpoints in JAX and PyTorch.

`python -m benchmarks.memory` prints a table for each program. Begin with `programs`; `in_adgraph`,
`in_jax` and `in_torch` have the ways to take a gradient, `fresh` measures one in a new process.
"""
