"""What a VAE maximises: the evidence lower bound, and the importance-weighted one.

Every function takes the modules of a VAE: `encoder(x) -> q(z|x)`, `decoder(z) -> p(x|z)` and
`prior() -> p(z)`, all of them `torch.distributions.Distribution`.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl

from pullback.errors import InvalidParameterError, check_integer
from pullback.randomness import draw
from pullback.shapes import Data, Scalars

__all__ = ["ELBO", "elbo", "importance_weighted_bound", "kl_divergence"]


class ELBO(NamedTuple):
    """The evidence lower bound of each sample, in nats, and its two parts.

    Attributes:
        value: `reconstruction - beta * kl`, `(*batch,)`.
        reconstruction: the Monte Carlo mean of log p(x|z) over z ~ q(z|x), `(*batch,)`.
        kl: KL(q(z|x) || p(z)) in closed form, `(*batch,)`.

    Example:
        >>> ELBO(torch.ones(2), torch.ones(2), torch.zeros(2)).value
        tensor([1., 1.])
    """

    value: Tensor
    reconstruction: Tensor
    kl: Tensor


def kl_divergence(posterior: Distribution, prior: Distribution) -> Scalars:
    """Return KL(q || p) in closed form.

    `KL(q || p) = E_q[log q(z) - log p(z)] >= 0`.

    Args:
        posterior: q, with batch shape (*batch,).
        prior: p.

    Returns:
        The divergence in nats, `(*batch,)`.

    Raises:
        InvalidParameterError: torch knows no closed form for this pair of families.

    Example:
        >>> from torch.distributions import Normal
        >>> kl_divergence(Normal(torch.tensor(1.0), 1.0), Normal(torch.tensor(0.0), 1.0))
        tensor(0.5000)
    """
    try:
        divergence: Tensor = kl.kl_divergence(posterior, prior)
    except NotImplementedError as error:
        raise InvalidParameterError(
            "posterior",
            "of a family with a closed-form KL divergence to the prior's",
            f"{posterior} and {prior}",
            "Register one with `torch.distributions.kl.register_kl`.",
        ) from error
    return divergence


def elbo(
    x: Data,
    encoder: nn.Module,
    decoder: nn.Module,
    prior: nn.Module,
    *,
    n_samples: int = 1,
    beta: float = 1.0,
    generator: torch.Generator | None = None,
) -> ELBO:
    """Estimate the evidence lower bound of each sample.

    `ELBO(x) = E_{z ~ q(z|x)}[log p(x|z)] - beta KL(q(z|x) || p(z)) <= log p(x)` for beta = 1.

    Args:
        x: observations, `(*batch, D)`.
        encoder: x -> q(z|x), reparametrised so that gradients flow.
        decoder: z -> p(x|z).
        prior: () -> p(z).
        n_samples: draws of z for each x.
        beta: weight of the KL term in [0, 1] during warm-up.
        generator: the source of randomness; torch's global one if None.

    Returns:
        The bound and its parts, each `(*batch,)`.

    Source:
        Kingma and Welling, "Auto-Encoding Variational Bayes", 2014.

    Example:
        >>> from pullback.models import VAE
        >>> vae = VAE(5, 2)
        >>> elbo(torch.zeros(3, 5), vae.encoder, vae.decoder, vae.prior).value.shape
        torch.Size([3])
    """
    posterior = encoder(x)
    z = draw(posterior, (check_integer("n_samples", n_samples),), generator)
    reconstruction = decoder(z).log_prob(x).mean(0)
    divergence = kl_divergence(posterior, prior())
    return ELBO(reconstruction - beta * divergence, reconstruction, divergence)


def importance_weighted_bound(
    x: Data,
    encoder: nn.Module,
    decoder: nn.Module,
    prior: nn.Module,
    *,
    n_samples: int = 50,
    generator: torch.Generator | None = None,
) -> Scalars:
    """Estimate the importance-weighted bound of each sample.

    `L_S(x) = E[log (1/S) sum_s p(x|z_s) p(z_s) / q(z_s|x)]` with `z_s ~ q(z|x)`: between the ELBO
    (S = 1) and log p(x) (S to infinity), and differentiable.

    Args:
        x: observations, `(*batch, D)`.
        encoder: x -> q(z|x).
        decoder: z -> p(x|z).
        prior: () -> p(z).
        n_samples: S.
        generator: the source of randomness; torch's global one if None.

    Returns:
        The bound in nats, `(*batch,)`.

    Source:
        Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", 2016.

    Example:
        >>> from pullback.models import VAE
        >>> vae = VAE(5, 2)
        >>> parts = vae.encoder, vae.decoder, vae.prior
        >>> importance_weighted_bound(torch.zeros(3, 5), *parts, n_samples=8).shape
        torch.Size([3])
    """
    posterior = encoder(x)
    z = draw(posterior, (check_integer("n_samples", n_samples),), generator)
    log_weights = decoder(z).log_prob(x) + prior().log_prob(z) - posterior.log_prob(z)
    bound: Tensor = log_weights.logsumexp(0) - math.log(n_samples)
    return bound
