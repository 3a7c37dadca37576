"""Figures: every function takes `ax` and returns `ax`; none shows or saves anything by itself."""

from pullback.plots.bars import bars
from pullback.plots.clusters import clusters
from pullback.plots.geodesics import geodesics
from pullback.plots.history import history
from pullback.plots.images import images
from pullback.plots.latent_map import LatentMap, latent_map, scatter, survey
from pullback.plots.std_map import mean_log_std, std_map
from pullback.plots.steps import steps
from pullback.plots.style import theme, to_png
from pullback.plots.volume import volume

__all__ = [
    "LatentMap",
    "bars",
    "clusters",
    "geodesics",
    "history",
    "images",
    "latent_map",
    "mean_log_std",
    "scatter",
    "std_map",
    "steps",
    "survey",
    "theme",
    "to_png",
    "volume",
]
