"""Graphs over the latent space, and shortest paths on them."""

from pullback.geodesics.search.graph.grid import fine_enough, grid_nodes, lattice_box
from pullback.geodesics.search.graph.latent_graph import LatentGraph

__all__ = ["LatentGraph", "fine_enough", "grid_nodes", "lattice_box"]
