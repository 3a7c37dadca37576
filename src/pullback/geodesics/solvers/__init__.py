"""Solvers: one step each, on a batch of curves."""
