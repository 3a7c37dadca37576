"""Means and medians."""
