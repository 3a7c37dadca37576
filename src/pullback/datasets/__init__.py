"""Data to start with: real ones that need no download, made-up ones, and the user's own."""

from pullback.datasets.files import read_table
from pullback.datasets.images import digits, mnist
from pullback.datasets.motion import CLIPS, motion_capture
from pullback.datasets.sequences import AMINO_ACIDS, ww_domains
from pullback.datasets.single_cell import pbmc
from pullback.datasets.split import Split, split
from pullback.datasets.synthetic import circle
from pullback.datasets.table import Table

__all__ = [
    "AMINO_ACIDS",
    "CLIPS",
    "Split",
    "Table",
    "circle",
    "digits",
    "mnist",
    "motion_capture",
    "pbmc",
    "read_table",
    "split",
    "ww_domains",
]
