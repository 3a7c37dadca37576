"""Geodesics: curves of shortest length between points of a latent space."""

from pullback.geodesics.base import Relaxation, Solver, State, Status
from pullback.geodesics.distances import PairwiseDistances, pairwise, refine_sample
from pullback.geodesics.first_variation import differentiable_length
from pullback.geodesics.initial_value.initial_value import shoot
from pullback.geodesics.initial_value.trajectory import Trajectory
from pullback.geodesics.result import GeodesicResult
from pullback.geodesics.search.graph import LatentGraph, grid_nodes
from pullback.geodesics.search.search import default_solver
from pullback.geodesics.search.short import ShortGeodesics, search_shortly, with_ends
from pullback.geodesics.solve import connect
from pullback.geodesics.solvers.collocation import Collocation
from pullback.geodesics.solvers.georce import GEORCE
from pullback.geodesics.solvers.gp_fixed_point import GPFixedPoint
from pullback.geodesics.solvers.lbfgs import LBFGS
from pullback.geodesics.solvers.newton import Newton
from pullback.geodesics.solvers.shooting import Shooting, refine_velocity

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
