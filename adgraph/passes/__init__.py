"""Graph to graph with the same meaning. Begin with `adgraph.passes.pipeline`."""
