"""Compiled functions: signatures, arenas, the call path."""
