"""What a VAE maximises, and what it is judged by: bounds, and the log marginal likelihood."""
