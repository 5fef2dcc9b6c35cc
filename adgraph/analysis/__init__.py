"""What a graph tells about itself: graph to facts, never a change of the graph."""
