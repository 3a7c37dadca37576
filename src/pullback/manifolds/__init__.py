"""Latent spaces as Riemannian manifolds."""

from pullback.manifolds.manifold import Manifold

__all__ = ["Manifold"]
