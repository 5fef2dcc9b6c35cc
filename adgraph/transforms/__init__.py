"""Graph to graph with another meaning: derivatives, batching."""
