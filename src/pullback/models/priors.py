"""Priors p(z) over the latent space: modules whose forward returns a distribution."""

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from pullback.errors import check_integer

__all__ = ["StandardNormal"]


class StandardNormal(nn.Module):
    """The prior p(z) = N(0, I_d).

    Args:
        latent_dim: the latent dimension d >= 1.

    Raises:
        InvalidParameterError: d is no integer >= 1.

    Example:
        >>> StandardNormal(2)().log_prob(torch.zeros(2))
        tensor(-1.8379)
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = check_integer("latent_dim", latent_dim)
        # Buffers follow the module to its device and dtype, but there is nothing to save.
        self.register_buffer("loc", torch.zeros(latent_dim), persistent=False)
        self.register_buffer("scale", torch.ones(latent_dim), persistent=False)

    def forward(self) -> Distribution:
        """Return p(z), with event shape (d,)."""
        normal = Normal(self.loc, self.scale, validate_args=False)
        return Independent(normal, 1, validate_args=False)
