"""From data to a report: prepare, train, measure, tell."""

from pullback.report.build import build
from pullback.report.preparation import SCALES, RunData, prepare
from pullback.report.run import RunFolder, Settings
from pullback.report.training import build_model, refuse_unfit, train

__all__ = [
    "SCALES",
    "RunData",
    "RunFolder",
    "Settings",
    "build",
    "build_model",
    "prepare",
    "refuse_unfit",
    "train",
]
