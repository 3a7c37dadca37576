"""The chapters of a report: each measures, draws and tells one thing."""

from collections.abc import Callable

from pullback.pages.chapter import Chapter
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
from pullback.report.study import Study

__all__ = ["STORY", "reproduction"]

STORY: dict[str, Callable[[Study], Chapter]] = {
    "what the model learnt": learning,
    "geodesics and curvature": curvature,
    "triplets": triplets,
    "k-means": clustering,
    "interpolation": interpolation,
    "generation": generation,
    "densities": density,
    "random walks": random_walks,
    "likelihood": likelihood,
    "statistics of the solver": solver,
}
"""The chapters in the order in which they are told, by the names of their steps in the progress.

`reproduction` comes after them all, by itself.
"""
