"""Figures: every function takes `ax` and returns `ax`; none shows or saves anything by itself."""

from pullback.plots.cells import cells
from pullback.plots.charts.band import band
from pullback.plots.charts.bars import bars
from pullback.plots.charts.distance_matrix import distance_matrix
from pullback.plots.charts.history import history
from pullback.plots.charts.steps import steps
from pullback.plots.clusters import clusters
from pullback.plots.images import images
from pullback.plots.maps.curvature import curvature
from pullback.plots.maps.decoded_grid import decoded_grid
from pullback.plots.maps.density import density
from pullback.plots.maps.latent_map import LatentMap, latent_map, scatter, survey
from pullback.plots.maps.std_map import mean_log_std, std_map
from pullback.plots.maps.tissot import tissot
from pullback.plots.maps.volume import volume
from pullback.plots.paths.fan import fan
from pullback.plots.paths.geodesics import geodesics
from pullback.plots.paths.posterior import posterior
from pullback.plots.paths.walks import walks
from pullback.plots.style import theme, to_png

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
