"""The decoder p(x|z): a module whose forward returns a distribution."""

import torch
from torch import nn
from torch.distributions import Distribution

from pullback.errors import InvalidParameterError, check_integer
from pullback.models.likelihoods import Likelihood
from pullback.shapes import Latent

__all__ = ["Decoder"]


class Decoder(nn.Module):
    """The decoder z -> p(x|z): a network for the features and a likelihood to read them.

    For the normal likelihood, `p(x|z) = N(mu(z), diag sigma(z)^2)` with mu the network. It works
    under `torch.func` (`vmap`, `jvp`, and both nested), which the geometry is built on.

    Args:
        mean: maps z `(*batch, d)` to features `(*batch, D)`.
        likelihood: turns features and z into a distribution over x.
        latent_dim: the latent dimension d; read off the first linear layer if not given.

    Attributes:
        latent_dim: the latent dimension d.
        data_dim: the data dimension D, the size of the distribution's event.

    Raises:
        InvalidParameterError: the latent dimension is neither given nor to be read off.

    Example:
        >>> from pullback.models import ConstantStd, NormalLikelihood, mlp
        >>> decoder = Decoder(mlp([2, 16, 5]), NormalLikelihood(ConstantStd(5, 0.1)))
        >>> decoder(torch.zeros(3, 2)).mean.shape, decoder.data_dim
        (torch.Size([3, 5]), 5)
    """

    def __init__(
        self, mean: nn.Module, likelihood: Likelihood, *, latent_dim: int | None = None
    ) -> None:
        super().__init__()
        self.mean = mean
        self.likelihood = likelihood
        if latent_dim is None:
            latent_dim = _read_latent_dim(mean)
        self.latent_dim = check_integer("latent_dim", latent_dim)
        self.data_dim = self._probe_data_dim()

    def forward(self, z: Latent) -> Distribution:
        """Return p(x|z) for latent points `(*batch, d)`, with event shape (D,)."""
        distribution: Distribution = self.likelihood(self.mean(z), z)
        return distribution

    def _probe_data_dim(self) -> int:
        parameter = next(self.parameters(), torch.zeros(()))
        z = torch.zeros(1, self.latent_dim, dtype=parameter.dtype, device=parameter.device)
        training = self.training
        with torch.no_grad():  # eval: a look must not move running statistics
            event_shape = self.eval()(z).event_shape
        self.train(training)
        return int(event_shape[0])


def _read_latent_dim(mean: nn.Module) -> int:
    for module in mean.modules():
        if isinstance(module, nn.Linear):
            return module.in_features
    raise InvalidParameterError(
        "latent_dim", "given where the network has no linear layer to read it off", None
    )
