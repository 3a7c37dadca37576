"""Figures: every function takes `ax` and returns `ax`; none shows or saves anything by itself."""

from pullback.plots.band import band
from pullback.plots.bars import bars
from pullback.plots.cells import cells
from pullback.plots.clusters import clusters
from pullback.plots.curvature import curvature
from pullback.plots.decoded_grid import decoded_grid
from pullback.plots.density import density
from pullback.plots.distance_matrix import distance_matrix
from pullback.plots.fan import fan
from pullback.plots.geodesics import geodesics
from pullback.plots.history import history
from pullback.plots.images import images
from pullback.plots.latent_map import LatentMap, latent_map, scatter, survey
from pullback.plots.posterior import posterior
from pullback.plots.std_map import mean_log_std, std_map
from pullback.plots.steps import steps
from pullback.plots.style import theme, to_png
from pullback.plots.tissot import tissot
from pullback.plots.volume import volume
from pullback.plots.walks import walks

__all__ = [
    "LatentMap",
    "band",
    "bars",
    "cells",
    "clusters",
    "curvature",
    "decoded_grid",
    "density",
    "distance_matrix",
    "fan",
    "geodesics",
    "history",
    "images",
    "latent_map",
    "mean_log_std",
    "posterior",
    "scatter",
    "std_map",
    "steps",
    "survey",
    "theme",
    "tissot",
    "to_png",
    "volume",
    "walks",
]
