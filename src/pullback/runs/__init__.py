"""Runs: a folder with data and models in it, and how they come there and back."""

from pullback.runs.folder import RunFolder, Settings
from pullback.runs.preparation import SCALES, RunData, prepare
from pullback.runs.training import build_model, refuse_unfit, train

__all__ = [
    "SCALES",
    "RunData",
    "RunFolder",
    "Settings",
    "build_model",
    "prepare",
    "refuse_unfit",
    "train",
]
