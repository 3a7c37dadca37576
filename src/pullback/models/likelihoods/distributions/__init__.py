"""Distributions that PyTorch lacks, and what their information needs."""
