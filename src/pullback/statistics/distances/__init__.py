"""Distances between many points, and what is made of them."""
