"""The log marginal likelihood log p(x) of a latent variable model, and its error."""

import math
import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pullback.errors import (
    ConvergenceWarning,
    InvalidDataError,
    InvalidParameterError,
    check_choice,
    check_integer,
    check_number,
)
from pullback.models.ensemble import members_of
from pullback.models.objectives.draws import (
    Weights,
    defensive,
    from_encoder,
    from_prior,
    sample_weights,
)
from pullback.models.objectives.joint import Joint
from pullback.models.objectives.modes import find_modes
from pullback.models.objectives.quadrature import integrate
from pullback.shapes import Data, Mask, Scalars

__all__ = ["Marginal", "log_marginal", "marginal", "warn_of_failures"]

_METHODS = ("auto", "quadrature", "importance", "encoder", "prior")
# The most dimensions of a lattice: in four it would have ten times as many nodes as draws suffice.
_LATTICE = 3
# The most draws of z for each x, by the method, where none are said.
_DRAWS = {"importance": 16_000, "encoder": 1000, "prior": 1000}
# The effective sample size below which a standard error is not to be trusted: the logarithm is then
# biased low by 1 / 200 nats, and heavy weights may have been missed altogether.
_LEAST = 100


@dataclass(frozen=True)
class Marginal:
    """log p(x) of each sample, and how good it is.

    Attributes:
        value: log p(x) in nats, `(*batch,)`. Of draws it is a lower bound in expectation, by half
            the squared error where the effective sample size is large, and by any amount where it
            is small.
        error: in nats, `(*batch,)`: by quadrature how far the value may be off, by draws its
            standard error.
        effective_sample_size: how many equal weights would be as good, `(*batch,)`; None by
            quadrature.
        method: `"quadrature"`, `"importance"`, `"encoder"` or `"prior"`.
        converged: where the error is at most the tolerance and, of draws, the effective sample
            size at least 100, `(*batch,)`.

    Example:
        >>> from pullback.models import VAE
        >>> found = VAE(5, 2).marginal(torch.zeros(3, 5))
        >>> found.method, found.converged
        ('quadrature', tensor([True, True, True]))
    """

    value: Tensor
    error: Tensor
    effective_sample_size: Tensor | None
    method: str
    converged: Mask


@torch.no_grad()
def marginal(
    x: Data,
    encoder: nn.Module,
    decoder: nn.Module,
    prior: nn.Module,
    *,
    method: str = "auto",
    n_samples: int | None = None,
    tolerance: float = 0.1,
    chunk_size: int | None = None,
    generator: torch.Generator | None = None,
) -> Marginal:
    r"""Compute log p(x) of each sample, with an estimate of the error.

    `log p(x) = log integral p(x|z) p(z) dz`:

    - `"quadrature"`, for d <= 3: sums over lattices around the modes of p(z|x), which are looked
      for from the encoder's code, the codes of other samples, draws of the prior, and a grid over
      a box around all these. See `objectives.quadrature.integrate`.
    - `"importance"`: draws from a mixture of what fits these modes, the encoder's q(z|x),
      broadened, and the prior. See `objectives.draws.defensive`.
    - `"encoder"`, `"prior"`: draws from q(z|x), or from p(z), the same for every x. Of a sharp
      decoder these are lower bounds that may be far too low: few of the draws come near the
      posterior, or its tails lie outside q.

    Of an ensemble of decoders, p(x) is the mean of the members'.

    Args:
        x: observations, `(*batch, D)`.
        encoder: x -> q(z|x), with a mean and, for draws, a standard deviation.
        decoder: z -> p(x|z), twice differentiable but for `"encoder"` and `"prior"`.
        prior: () -> p(z), any distribution whose density is smooth.
        method: one of the above; `"auto"` is quadrature for d <= 3 if `n_samples` is None, else
            importance.
        n_samples: most draws of z for each x; 16,000 for `"importance"` and else 1000 if None.
        tolerance: the error in nats > 0 at which quadrature is refined no more, and importance
            sampling gets no more draws.
        chunk_size: pairs (x, z) that are worked on at once; None for a million numbers.
        generator: the source of randomness; one with seed 0 if None.

    Returns:
        The values with their errors.

    Raises:
        InvalidDataError: x is empty.
        InvalidParameterError: a number is out of range, the method is unknown, or it is quadrature
            and d > 3 or a number of draws is given.

    Source:
        Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", 2016, for the bound by
        draws; Wu, Burda, Salakhutdinov and Grosse, "On the quantitative analysis of decoder-based
        generative models", 2017, for how far off such bounds are.

    Example:
        >>> from pullback.models import VAE
        >>> vae = VAE(5, 2)
        >>> found = marginal(torch.zeros(3, 5), vae.encoder, vae.decoder, vae.prior)
        >>> found.value.shape, bool((found.error < 0.1).all())
        (torch.Size([3]), True)
    """
    check_choice("method", method, _METHODS)
    tolerance = check_number("tolerance", tolerance, 0.0, open_low=True)
    if chunk_size is not None:
        check_integer("chunk_size", chunk_size)
    if x.numel() == 0:
        raise InvalidDataError(
            f"`x` must hold at least one observation, but its shape is {tuple(x.shape)}."
        )
    rows = x.detach().reshape(-1, x.shape[-1])
    if generator is None:
        generator = torch.Generator(rows.device).manual_seed(0)
    dim = encoder(rows[:1]).mean.shape[-1]
    method, count = _check_method(method, n_samples, dim)
    parts = []
    for member in members_of(decoder):
        joint = Joint(rows, member, prior, chunk_size)
        work = _Work(joint, encoder, tolerance, generator)
        parts.append(work.quadrature() if method == "quadrature" else work.draws(method, count))
    found = _mean(parts)
    shape = x.shape[:-1]
    size = None if found.size is None else found.size.reshape(shape)
    good = (found.error <= tolerance) & (True if found.size is None else found.size >= _LEAST)
    value, error = found.value.reshape(shape), found.error.reshape(shape)
    return Marginal(value, error, size, method, good.reshape(shape))


def log_marginal(
    x: Data,
    encoder: nn.Module,
    decoder: nn.Module,
    prior: nn.Module,
    *,
    method: str = "auto",
    n_samples: int | None = None,
    tolerance: float = 0.1,
    chunk_size: int | None = None,
    generator: torch.Generator | None = None,
) -> Scalars:
    """Compute log p(x) of each sample, see `marginal`, which tells the errors too.

    Args:
        x: observations, `(*batch, D)`.
        encoder: x -> q(z|x).
        decoder: z -> p(x|z).
        prior: () -> p(z).
        method: see `marginal`; values of `"encoder"` and `"prior"` are lower bounds.
        n_samples: most draws of z for each x, for the methods that draw.
        tolerance: the error in nats at which quadrature and importance sampling stop.
        chunk_size: pairs (x, z) that are worked on at once.
        generator: the source of randomness; one with seed 0 if None.

    Returns:
        log p(x) in nats, `(*batch,)`.

    Raises:
        InvalidDataError: x is empty.
        InvalidParameterError: see `marginal`.

    Warns with `ConvergenceWarning` where quadrature or importance sampling missed the tolerance.

    Example:
        >>> from pullback.models import VAE
        >>> vae = VAE(5, 2)
        >>> log_marginal(torch.zeros(3, 5), vae.encoder, vae.decoder, vae.prior).shape
        torch.Size([3])
    """
    found = marginal(
        x,
        encoder,
        decoder,
        prior,
        method=method,
        n_samples=n_samples,
        tolerance=tolerance,
        chunk_size=chunk_size,
        generator=generator,
    )
    warn_of_failures(found, tolerance)
    return found.value


def warn_of_failures(found: Marginal, tolerance: float) -> None:
    """Warn of values of quadrature or importance sampling that missed the tolerance.

    Example:
        >>> good = torch.tensor([True])
        >>> warn_of_failures(Marginal(good.double(), good.double(), None, "quadrature", good), 0.1)
    """
    failed = int((~found.converged).sum())
    if failed == 0 or found.method in ("encoder", "prior"):
        return
    cure = "`method='importance'`, or more `tolerance`"
    if found.method == "importance":
        cure = "more `n_samples`; until then these are lower bounds"
    worst = float(found.error[~found.converged].max())
    warnings.warn(
        f"log p(x) of {failed} of {found.converged.numel()} samples is not good to "
        f"{tolerance:g} nats (the largest error is {worst:.2g}): try {cure}.",
        ConvergenceWarning,
        stacklevel=3,
    )


def _check_method(method: str, n_samples: int | None, dim: int) -> tuple[str, int]:
    """Return the method that is meant, and its number of draws."""
    if n_samples is not None:
        check_integer("n_samples", n_samples)
    if method == "auto":
        method = "quadrature" if dim <= _LATTICE and n_samples is None else "importance"
    if method != "quadrature":
        return method, _DRAWS[method] if n_samples is None else n_samples
    if dim > _LATTICE:
        allowed = f"another than 'quadrature' for more than {_LATTICE} latent dimensions"
        raise InvalidParameterError("method", allowed, f"it for {dim}", "Use 'importance'.")
    if n_samples is not None:
        raise InvalidParameterError("n_samples", "None for 'quadrature'", n_samples)
    return method, 0


@dataclass(frozen=True)
class _Found:
    value: Tensor
    error: Tensor
    size: Tensor | None


@dataclass(frozen=True)
class _Work:
    """What one decoder says of the samples."""

    joint: Joint
    encoder: nn.Module
    tolerance: float
    generator: torch.Generator

    def quadrature(self) -> _Found:
        codes = self.encoder(self.joint.x).mean
        modes = find_modes(self.joint, codes, self.generator)
        found = integrate(self.joint, modes, self.tolerance)
        return _Found(found.value, found.error, None)

    def draws(self, method: str, n_samples: int) -> _Found:
        joint, generator, tolerance = self.joint, self.generator, None
        if method == "encoder":
            weigh = from_encoder(joint, self.encoder, generator)
        elif method == "prior":
            weigh = from_prior(joint, generator)
        else:
            posterior, tolerance = self.encoder(joint.x), self.tolerance
            modes = find_modes(joint, posterior.mean, generator)
            weigh = defensive(joint, modes, posterior, generator)
        n, size = len(joint.x), joint.chunk_size
        sums: Weights = sample_weights(weigh, joint.x, n, n_samples, size, tolerance)
        return _Found(sums.value, sums.standard_error, sums.effective_sample_size)


def _mean(parts: list[_Found]) -> _Found:
    """Take the mean of p(x) over the members of an ensemble, and add up errors by their shares."""
    if len(parts) == 1:
        return parts[0]
    values = torch.stack([part.value for part in parts])
    shares = values.softmax(0)
    errors = torch.stack([part.error for part in parts])
    sizes = [part.size for part in parts if part.size is not None]
    value = values.logsumexp(0) - math.log(len(parts))
    if not sizes:
        error = torch.where(shares > 0, shares * errors, 0.0).sum(0)
        return _Found(value, error, None)
    error = torch.where(shares > 0, shares * errors, 0.0).square().sum(0).sqrt()
    size = torch.where(shares > 0, shares.square() / torch.stack(sizes), 0.0).sum(0).reciprocal()
    return _Found(value, error, size)
