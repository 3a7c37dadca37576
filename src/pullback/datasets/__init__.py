"""Data to start with: real images that need no download, made-up ones, and the user's own."""

from pullback.datasets.files import read_table
from pullback.datasets.images import digits, mnist
from pullback.datasets.split import Split, split
from pullback.datasets.synthetic import circle
from pullback.datasets.table import Table

__all__ = ["Split", "Table", "circle", "digits", "mnist", "read_table", "split"]
