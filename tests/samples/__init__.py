"""Samples of every op, one module per family; `tests/op_table.py` gathers them."""
