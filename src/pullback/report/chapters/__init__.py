"""The chapters of a report: each measures, draws and tells one thing."""

from pullback.report.chapters.clustering import clustering
from pullback.report.chapters.curvature import curvature
from pullback.report.chapters.density import density
from pullback.report.chapters.generation import generation
from pullback.report.chapters.interpolation import interpolation
from pullback.report.chapters.learning import learning
from pullback.report.chapters.likelihood import likelihood
from pullback.report.chapters.random_walks import random_walks
from pullback.report.chapters.reproduction import reproduction
from pullback.report.chapters.solver import solver
from pullback.report.chapters.triplets import triplets

__all__ = [
    "clustering",
    "curvature",
    "density",
    "generation",
    "interpolation",
    "learning",
    "likelihood",
    "random_walks",
    "reproduction",
    "solver",
    "triplets",
]
