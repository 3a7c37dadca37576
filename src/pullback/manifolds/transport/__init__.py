"""Parallel transport along curves."""
