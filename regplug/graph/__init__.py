"""What touches apply nodes: the walk over a graph, and the rewiring."""
