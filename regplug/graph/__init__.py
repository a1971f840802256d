"""What touches apply nodes: the walk over a graph, and the rewiring."""

from regplug.graph.rewiring import positions, rewire, toposort

__all__ = ["positions", "rewire", "toposort"]
