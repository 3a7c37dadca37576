"""Curves in the latent plane."""
