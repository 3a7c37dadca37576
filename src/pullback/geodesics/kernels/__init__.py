"""Compiled kernels for geodesics on a table of the metric, d <= 3: loaded when first used."""
