"""Geodesics: curves of shortest length between points of a latent space."""

from pullback.geodesics.base import Relaxation, Solver, State, Status
from pullback.geodesics.graph import LatentGraph, grid_nodes
from pullback.geodesics.newton import Newton
from pullback.geodesics.result import GeodesicResult
from pullback.geodesics.solve import STARTS, connect

__all__ = [
    "STARTS",
    "GeodesicResult",
    "LatentGraph",
    "Newton",
    "Relaxation",
    "Solver",
    "State",
    "Status",
    "connect",
    "grid_nodes",
]
