"""Maps: a value at every place of the latent plane."""
