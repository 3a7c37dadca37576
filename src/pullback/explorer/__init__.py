"""The explorer: a page of one's own machine in which points are dragged and geodesics follow."""

from pullback.explorer.explorer import Explorer, explore
from pullback.explorer.scene import Column, Scene

__all__ = ["Column", "Explorer", "Scene", "explore"]
