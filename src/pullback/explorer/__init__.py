"""The explorer: a page in which points are dragged and geodesics follow, served or alone."""

from pullback.explorer.alone import export_page
from pullback.explorer.explorer import Explorer, explore
from pullback.explorer.notebook import NotebookExplorer, explore_in_notebook
from pullback.explorer.scene import Column, Scene

__all__ = [
    "Column",
    "Explorer",
    "NotebookExplorer",
    "Scene",
    "explore",
    "explore_in_notebook",
    "export_page",
]
