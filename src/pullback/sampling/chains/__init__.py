"""Markov chains, and what they are to have as their law."""
