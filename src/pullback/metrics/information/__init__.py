"""Fisher information: metrics that count what can be told apart."""
