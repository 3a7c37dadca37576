"""Curvature: of the whole, of planes, and of the image."""
