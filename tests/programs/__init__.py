"""Imperative programs of scientific NumPy, one module per field; `table.py` gathers them."""
