"""The kernels of one program, each written once for the plan and for the code.

The plan needs the scratch of a kernel, joining loops whether it runs in blocks, the code its text.
"""

from __future__ import annotations

from adgraph.ir.graph import Graph, Node
from adgraph.lower.region import WrittenKernel, write_kernel
from adgraph.lower.storage import Stored


class WrittenKernels:
    """What was written so far, by the body of a kernel and where its operands are."""

    def __init__(self) -> None:
        # A body is kept with what was written, so that its `id` stays its own.
        self._written: dict[object, tuple[Graph, WrittenKernel]] = {}

    def of(
        self, node: Node, operands: tuple[Stored, ...], shared: frozenset[int] = frozenset()
    ) -> WrittenKernel:
        """Return what `write_kernel` writes for a node."""
        body: Graph = node.attrs["body"]
        key = id(body), operands, shared
        if key not in self._written:
            self._written[key] = body, write_kernel(node, operands, shared)
        return self._written[key][1]
