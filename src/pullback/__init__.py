"""The true geometry of a generative model's latent space."""
