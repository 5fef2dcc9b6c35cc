"""From a NumPy function to a graph. Begin with `adgraph.tracing.trace`."""
