"""The claims of Arvanitidis, Hansen and Hauberg, "Latent Space Oddity" (2018)."""
