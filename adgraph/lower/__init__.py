"""From a scheduled program to machine code.

`kernel` compiles kernel sources to object code, `blas` supplies the library kernels in the same
ABI, `cache` keeps the object code on disk, and `driver` runs a list of kernels over flat memory.
"""
