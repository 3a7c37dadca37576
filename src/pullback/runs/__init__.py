"""Runs: a folder with data and models in it, and how they come there and back."""

from pullback.runs.folder import RunFolder, Settings
from pullback.runs.preparation import SCALES, RunData, prepare
from pullback.runs.run import Run, draw_pairs
from pullback.runs.streams import Stream
from pullback.runs.training import build_model, refuse_unfit, train

__all__ = [
    "SCALES",
    "Run",
    "RunData",
    "RunFolder",
    "Settings",
    "Stream",
    "build_model",
    "draw_pairs",
    "prepare",
    "refuse_unfit",
    "train",
]
