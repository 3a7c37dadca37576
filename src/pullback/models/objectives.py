"""What a VAE maximises and is judged by: ELBO, importance-weighted bound, log marginal likelihood.

Every function takes the modules of a VAE: `encoder(x) -> q(z|x)`, `decoder(z) -> p(x|z)` and
`prior() -> p(z)`, all of them `torch.distributions.Distribution`.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl

from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    check_choice,
    check_integer,
)
from pullback.randomness import draw
from pullback.shapes import Data, Scalars

__all__ = ["ELBO", "elbo", "importance_weighted_bound", "kl_divergence", "log_marginal"]


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


@torch.no_grad()
def log_marginal(
    x: Data,
    encoder: nn.Module,
    decoder: nn.Module,
    prior: nn.Module,
    *,
    n_samples: int = 1000,
    proposal: str = "encoder",
    chunk_size: int = 10_000,
    generator: torch.Generator | None = None,
) -> Scalars:
    """Estimate log p(x) of each sample by importance sampling.

    `log p(x) ~ log (1/S) sum_s p(x|z_s) p(z_s) / r(z_s)` with `z_s ~ r`, summed as a running
    log-sum-exp over chunks, so that memory does not grow with S. It is consistent, and for a
    finite S a lower bound in expectation.

    Args:
        x: observations, `(*batch, D)`.
        encoder: x -> q(z|x).
        decoder: z -> p(x|z).
        prior: () -> p(z).
        n_samples: S.
        proposal: r; `"encoder"` draws from q(z|x), `"prior"` from p(z), the same z for every x.
        chunk_size: pairs (x, z) that are worked on at once.
        generator: the source of randomness; torch's global one if None.

    Returns:
        The estimate in nats, `(*batch,)`.

    Raises:
        InvalidDataError: x is empty.
        InvalidParameterError: a number is below 1, or the proposal is unknown.

    Example:
        >>> from pullback.models import VAE
        >>> vae = VAE(5, 2)
        >>> parts = vae.encoder, vae.decoder, vae.prior
        >>> log_marginal(torch.zeros(3, 5), *parts, n_samples=100).shape
        torch.Size([3])
    """
    check_integer("n_samples", n_samples)
    check_integer("chunk_size", chunk_size)
    if x.numel() == 0:
        raise InvalidDataError(
            f"`x` must hold at least one observation, but its shape is {tuple(x.shape)}."
        )
    weigh = {"encoder": _encoder_weights, "prior": _prior_weights}[
        check_choice("proposal", proposal, {"encoder", "prior"})
    ]
    rows = x.reshape(-1, x.shape[-1])
    parts = []
    for first in range(0, len(rows), chunk_size):
        block = rows[first : first + chunk_size]
        total = block.new_full(block.shape[:1], -math.inf)
        step = max(1, chunk_size // len(block))
        for start in range(0, n_samples, step):
            count = min(step, n_samples - start)
            log_weights = weigh(block, (encoder, decoder, prior), count, generator)
            total = torch.logaddexp(total, log_weights.logsumexp(0))
        parts.append(total - math.log(n_samples))
    return torch.cat(parts).reshape(x.shape[:-1])


Modules = tuple[nn.Module, nn.Module, nn.Module]


def _encoder_weights(
    x: Tensor, modules: Modules, count: int, generator: torch.Generator | None
) -> Tensor:
    encoder, decoder, prior = modules
    posterior = encoder(x)
    z = draw(posterior, (count,), generator)
    weights: Tensor = decoder(z).log_prob(x) + prior().log_prob(z) - posterior.log_prob(z)
    return weights


def _prior_weights(
    x: Tensor, modules: Modules, count: int, generator: torch.Generator | None
) -> Tensor:
    _, decoder, prior = modules
    z = draw(prior(), (count, 1), generator)  # the proposal cancels the prior
    weights: Tensor = decoder(z).log_prob(x)
    return weights
