"""Geodesics: curves of shortest length between points of a latent space."""

from pullback.geodesics.base import Relaxation, Solver, State, Status
from pullback.geodesics.collocation import Collocation
from pullback.geodesics.distances import PairwiseDistances, pairwise, refine_sample
from pullback.geodesics.first_variation import differentiable_length
from pullback.geodesics.georce import GEORCE
from pullback.geodesics.gp_fixed_point import GPFixedPoint
from pullback.geodesics.graph import LatentGraph, grid_nodes
from pullback.geodesics.initial_value import shoot
from pullback.geodesics.lbfgs import LBFGS
from pullback.geodesics.newton import Newton
from pullback.geodesics.result import GeodesicResult
from pullback.geodesics.search import default_solver
from pullback.geodesics.shooting import Shooting, refine_velocity
from pullback.geodesics.short import ShortGeodesics, search_shortly, with_ends
from pullback.geodesics.solve import connect
from pullback.geodesics.trajectory import Trajectory

__all__ = [
    "GEORCE",
    "LBFGS",
    "Collocation",
    "GPFixedPoint",
    "GeodesicResult",
    "LatentGraph",
    "Newton",
    "PairwiseDistances",
    "Relaxation",
    "Shooting",
    "ShortGeodesics",
    "Solver",
    "State",
    "Status",
    "Trajectory",
    "connect",
    "default_solver",
    "differentiable_length",
    "grid_nodes",
    "pairwise",
    "refine_sample",
    "refine_velocity",
    "search_shortly",
    "shoot",
    "with_ends",
]
