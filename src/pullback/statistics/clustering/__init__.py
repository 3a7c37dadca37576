"""Clusters, and scores of them."""
