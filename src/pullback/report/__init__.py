"""From a trained run to a report: measure, tell."""

from pullback.report.build import build
from pullback.runs import (
    SCALES,
    RunData,
    RunFolder,
    Settings,
    build_model,
    prepare,
    refuse_unfit,
    train,
)

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
