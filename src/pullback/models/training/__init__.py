"""Training: stages, epochs, checkpoints, and what is maximised."""
