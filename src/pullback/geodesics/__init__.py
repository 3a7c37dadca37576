"""Geodesics: curves of shortest length between points of a latent space."""

from pullback.geodesics.base import Relaxation, Solver, State, Status
from pullback.geodesics.distances import (
    Lengths,
    PairwiseDistances,
    measure_pairs,
    pairwise,
    refine_sample,
    warn_of_failures,
)
from pullback.geodesics.fields.distance_field import DistanceField
from pullback.geodesics.fields.distances_from import DistancesFrom
from pullback.geodesics.first_variation import differentiable_length
from pullback.geodesics.initial_value.initial_value import shoot
from pullback.geodesics.initial_value.trajectory import Trajectory
from pullback.geodesics.result import GeodesicResult
from pullback.geodesics.ruler import METHODS, Ruler, build_graph
from pullback.geodesics.search.graph import LatentGraph, grid_nodes
from pullback.geodesics.search.search import default_solver
from pullback.geodesics.search.short import ShortGeodesics, search_shortly, with_ends
from pullback.geodesics.solve import connect
from pullback.geodesics.solvers.collocation import Collocation
from pullback.geodesics.solvers.gauss_newton import GaussNewtonLBFGS
from pullback.geodesics.solvers.georce import GEORCE
from pullback.geodesics.solvers.gp_fixed_point import GPFixedPoint
from pullback.geodesics.solvers.lbfgs import LBFGS
from pullback.geodesics.solvers.newton import Newton
from pullback.geodesics.solvers.shooting import Shooting, refine_velocity

__all__ = [
    "GEORCE",
    "LBFGS",
    "METHODS",
    "Collocation",
    "DistanceField",
    "DistancesFrom",
    "GPFixedPoint",
    "GaussNewtonLBFGS",
    "GeodesicResult",
    "LatentGraph",
    "Lengths",
    "Newton",
    "PairwiseDistances",
    "Relaxation",
    "Ruler",
    "Shooting",
    "ShortGeodesics",
    "Solver",
    "State",
    "Status",
    "Trajectory",
    "build_graph",
    "connect",
    "default_solver",
    "differentiable_length",
    "grid_nodes",
    "measure_pairs",
    "pairwise",
    "refine_sample",
    "refine_velocity",
    "search_shortly",
    "shoot",
    "warn_of_failures",
    "with_ends",
]
