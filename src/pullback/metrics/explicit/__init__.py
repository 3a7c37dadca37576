"""Metrics that are given by a formula, without a decoder."""
