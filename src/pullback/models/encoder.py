"""Encoders q(z|x): modules whose forward returns a distribution."""

from torch import nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import softplus

from pullback.errors import InvalidParameterError, check_integer
from pullback.shapes import Data

__all__ = ["GaussianEncoder"]

# The smallest standard deviation of q(z|x), in the unit of z, where the prior has 1. Set by
# judgement: with less, a code could shrink to a point of enormous density.
_MIN_SCALE = 1e-4


class GaussianEncoder(nn.Module):
    """The approximate posterior q(z|x) = N(loc(x), diag scale(x)^2).

    A network gives 2 d numbers a sample; the first d are loc, and scale is the softplus of the
    others plus 1e-4, which keeps it away from zero without a kink.

    Args:
        network: maps `(*batch, D)` to `(*batch, 2 d)`.
        latent_dim: the latent dimension d >= 1.
        standardize: what observations go through first, such as `Standardization`; nothing if
            None.

    Raises:
        InvalidParameterError: d is no integer >= 1.

    Source:
        Kingma and Welling, "Auto-Encoding Variational Bayes", 2014.

    Example:
        >>> import torch
        >>> from pullback.models import mlp
        >>> encoder = GaussianEncoder(mlp([5, 16, 4]), latent_dim=2)
        >>> encoder(torch.zeros(3, 5)).mean.shape
        torch.Size([3, 2])
    """

    def __init__(
        self, network: nn.Module, latent_dim: int, *, standardize: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.standardize = nn.Identity() if standardize is None else standardize
        self.network = network
        self.latent_dim = check_integer("latent_dim", latent_dim)

    def forward(self, x: Data) -> Distribution:
        """Return q(z|x) for observations `(*batch, D)`, with event shape (d,).

        Raises:
            InvalidParameterError: the network does not give 2 d numbers a sample.
        """
        features = self.network(self.standardize(x))
        if features.shape[-1] != 2 * self.latent_dim:
            raise InvalidParameterError(
                "network",
                f"a network with 2 * latent_dim = {2 * self.latent_dim} outputs",
                f"one with {features.shape[-1]}",
            )
        loc, raw = features.chunk(2, -1)
        normal = Normal(loc, softplus(raw) + _MIN_SCALE, validate_args=False)
        return Independent(normal, 1, validate_args=False)
