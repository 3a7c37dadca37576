"""Kernels of distance fields: marching over a grid, and the ways back down."""
