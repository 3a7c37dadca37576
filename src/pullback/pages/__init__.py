"""Pages that tell what was measured: chapters of claims, numbers and pictures, as one HTML file."""

from pullback.pages.chapter import Block, Chapter, Picture, Pictures, Table, Verdict
from pullback.pages.html import Image, page

__all__ = ["Block", "Chapter", "Image", "Picture", "Pictures", "Table", "Verdict", "page"]
