"""The version of adgraph, read by the package, by its cache keys and by the build."""

__version__ = "0.1.0"
