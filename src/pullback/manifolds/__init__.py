"""Latent spaces as Riemannian manifolds."""

from pullback.manifolds import reference
from pullback.manifolds.manifold import Manifold

__all__ = ["Manifold", "reference"]
