"""Ops that contain programs: their derivatives and batching, entered in `transforms.regions`."""

from adgraph.control import cond, loop

__all__ = ["cond", "loop"]
