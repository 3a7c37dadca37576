"""The metric that a divergence defines, for distributions whose Fisher information nobody knows."""

from collections.abc import Callable, Mapping
from functools import partial, singledispatch
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import (
    Bernoulli,
    Categorical,
    Independent,
    OneHotCategorical,
    kl_divergence,
)

from pullback.autodiff import unvalidated_distributions
from pullback.errors import InvalidParameterError, check_dtype, check_number
from pullback.metrics.base import Metric
from pullback.models.decoding.door import check_map
from pullback.models.decoding.preparation import as_model, take_in
from pullback.shapes import Latent, MetricMatrix, Scalars

__all__ = ["KLMetric", "symmetric_divergence"]

Divergence = Callable[[Any, Any], Tensor]
"""KL(p||q) of two outputs of a decoder, row by row."""

# Pairs of distributions that are compared at once. It bounds memory, and is large enough that the
# cost of a call is not felt.
_ROWS = 8192
# The steps of the differences, h, h/2 and h/4: three are the fewest from which the order of the
# error can be told.
_HALVINGS = 3
# The change by the second halving of the step, as a share of that by the first, from below which
# the error is taken as even in the step: it is 1/4 where only even powers are in it, and 1/2 where
# odd ones are. Below 0.27 the extrapolation for even errors is trusted fully; below 0.42 it is
# used, and the error estimated with caution; above, the error is taken as odd, as where the
# divergence has a kink.
_QUARTERED, _EVEN = 0.27, 0.42


class KLMetric(Metric):
    r"""The Fisher information metric, by the second-order expansion of a divergence.

    Between near points KL(p_a||p_b) is (b - a)^T M (b - a) / 2, so a squared chord is the symmetric
    divergence KL(p_a||p_b) + KL(p_b||p_a): forward evaluations only. M itself comes from the
    symmetric divergence of the ends of small straight lines through z, along the axes and the
    diagonals, at three steps. Of a smooth family their errors are even in the step, and the first
    two are extrapolated away, so that what is left is of sixth order. Where halving the step does
    not quarter the error, as for a Laplace distribution, whose density has a kink, odd powers count
    too, and what is left is of third order; chords then err by a share of their own length.

    A module is always evaluated in double precision, for divergences of near points cancel.

    Args:
        decoder: from points `(n, d)` to distributions, row by row.
        dim: the dimension d of the latent space, or None where any will do.
        kl: the divergence KL(p||q) of two outputs; torch's own registry if None.
        step: the largest step h in the latent space; eps^(1/10) of the floating-point type if None,
            which is 0.03 in double precision. It must be small against the distance over which
            p(x|z) changes its shape; `error` says whether it is.

    Attributes:
        decoder: what is measured, the metric's own copy of a module.

    Source:
        Arvanitidis, Gonzalez-Duque, Pouplin, Kalatzis, Hauberg, Pulling back information geometry
        (2022), which takes one-sided differences of first order.

    Example:
        >>> from torch.distributions import Geometric
        >>> metric = KLMetric(lambda z: Geometric(logits=z), dim=1)
        >>> round(metric.metric_matrix(torch.zeros(1).double()).item(), 9)
        0.5
    """

    def __init__(
        self,
        decoder: Callable[[Tensor], Any],
        dim: int | None = None,
        *,
        kl: Divergence | None = None,
        step: float | None = None,
    ) -> None:
        super().__init__(dim)
        self.decoder = decoder
        self.kl = kl
        self.step = None if step is None else check_number("step", step, 0, open_low=True)
        self._dtype: torch.dtype | None = None

    @classmethod
    def from_decoder(
        cls,
        decoder: nn.Module | Callable[[Tensor], Any],
        *,
        dim: int | None = None,
        dtype: torch.dtype = torch.float64,
        device: str | torch.device | None = None,
        trainable: bool = False,
        kl: Divergence | None = None,
        step: float | None = None,
    ) -> "KLMetric":
        """Measure a decoder that returns distributions, by their divergence.

        Args:
            decoder: a module or a callable from z `(*batch, d)` to a distribution, or to a tuple,
                list or dict of independent ones.
            dim: the latent dimension d; read off the decoder's `latent_dim` if it has one.
            dtype: the floating-point type to compute in.
            device: where to compute; None for where a module is, and the CPU for a function.
            trainable: follow a module as it trains, see `PullbackMetric.from_decoder`.
            kl: the divergence KL(p||q) of two outputs; torch's own registry if None.
            step: the largest step of the expansion; see the class.

        Returns:
            The metric.

        Raises:
            InvalidParameterError: no divergence is registered for what the decoder returns, `dim`
                is missing, or the decoder would answer differently in training mode.
            DeviceError: the device is not on this machine.
            InvalidDataError: the decoder returns NaN, ignores the batch, is not deterministic, or
                does not depend on z at all; or distributions are infinitely far apart.
        """
        dtype = check_dtype("dtype", dtype)
        inner = torch.float64 if isinstance(as_model(decoder), nn.Module) else dtype
        taken = take_in(decoder, dim=dim, dtype=inner, device=device, trainable=trainable)
        metric = cls(taken.decoder, len(taken.origin), kl=kl, step=step)
        metric._dtype = inner
        metric.requires_grad = trainable
        origin = taken.origin.to(dtype)
        check_map(partial(metric._divergence_from, origin), origin)
        return metric

    def metric_matrix(self, z: Latent) -> MetricMatrix:
        """Expand the divergence to second order, see `Metric.metric_matrix`."""
        return self._expansions(z)[0]

    def error(self, z: Latent) -> Scalars:
        r"""Estimate the relative error of the expansion, |M_6 - M_4| / |M_6| in Frobenius norms.

        M_6 is `metric_matrix` and M_4 the expansion with one step less (of third and second order
        where the family has a kink); the difference is what the last step still changed, so it
        bounds the error of M_6 where the expansion converges.

        Args:
            z: points, shape `(*batch, d)`.

        Returns:
            The relative error, shape `(*batch,)`.

        Example:
            >>> from torch.distributions import Gamma
            >>> metric = KLMetric(lambda z: Gamma(z.exp(), 1.0), dim=1)
            >>> bool(metric.error(torch.zeros(1).double()) < 1e-6)
            True
        """
        best, before = self._expansions(z)
        error: Tensor = (best - before).norm(dim=(-2, -1)) / best.norm(dim=(-2, -1))
        return error

    def _expansions(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Compute M to the sixth and to the fourth order in the step."""
        d = z.shape[-1]
        n_rows = max(1, _ROWS // (_HALVINGS * d * (d + 1)))
        parts = [self._expand(part) for part in z.reshape(-1, d).split(n_rows)]
        best, before = (torch.cat(part).to(z.dtype) for part in zip(*parts, strict=True))
        return best.reshape(*z.shape, d), before.reshape(*z.shape, d)

    def _expand(self, z: Tensor) -> tuple[Tensor, Tensor]:
        z = z if self._dtype is None else z.to(self._dtype)
        i, j = torch.triu_indices(z.shape[-1], z.shape[-1], device=z.device)
        axes = torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
        directions = axes[i] + axes[j] * (i != j).unsqueeze(-1)
        largest = torch.finfo(z.dtype).eps ** 0.1 if self.step is None else self.step
        steps = [largest / 2**k for k in range(_HALVINGS)]
        half = torch.stack([step / 2 * directions for step in steps]).unsqueeze(-2)
        square = torch.tensor(steps, dtype=z.dtype, device=z.device).square()
        coarse, fine, finest = self._divergence(z - half, z + half) / square[:, None, None]
        changes = (finest - fine).abs().sum(0), (fine - coarse).abs().sum(0)
        even, clearly = (changes[0] < share * changes[1] for share in (_EVEN, _QUARTERED))
        fourth = fine + (fine - coarse) / 3, finest + (finest - fine) / 3
        sixth = fourth[1] + (fourth[1] - fourth[0]) / 15
        first = 2 * fine - coarse, 2 * finest - fine
        third = first[1] + (first[1] - first[0]) / 3
        best = torch.where(even, sixth, third)
        before = torch.where(clearly, fourth[1], torch.where(even, third, first[1]))
        return _polarise(best, z.shape[-1]), _polarise(before, z.shape[-1])

    def _squared_chords(self, points: Tensor) -> Tensor:
        return self._divergence(points[..., :-1, :], points[..., 1:, :])

    def _divergence_from(self, origin: Tensor, z: Tensor) -> Tensor:
        return self._divergence(z, origin.expand_as(z)).unsqueeze(-1)

    def _divergence(self, a: Tensor, b: Tensor) -> Tensor:
        """Compare the distributions at a and at b, row by row: shape `(*batch,)`."""
        inner = self._dtype or a.dtype
        rows = (end.reshape(-1, a.shape[-1]).to(inner).split(_ROWS) for end in (a, b))
        with unvalidated_distributions():
            values = [
                _by_rows(symmetric_divergence(self.decoder(start), self.decoder(end), self.kl))
                for start, end in zip(*rows, strict=True)
            ]
        return torch.cat(values).to(a.dtype).reshape(a.shape[:-1])


def _polarise(squared: Tensor, d: int) -> Tensor:
    """Turn |v|^2 along axes and diagonals, `(d (d + 1) / 2, n)`, into matrices `(n, d, d)`."""
    i, j = torch.triu_indices(d, d, device=squared.device)
    place = torch.zeros(d, d, dtype=torch.long, device=squared.device)
    place[i, j] = place[j, i] = torch.arange(len(i), device=squared.device)
    full = squared[place].movedim(-1, 0)
    own = squared[place.diagonal()].T
    off = (full - (own.unsqueeze(-1) + own.unsqueeze(-2))) / 2
    eye = torch.eye(d, dtype=torch.bool, device=squared.device)
    return torch.where(eye, full, off)


def _by_rows(value: Tensor) -> Tensor:
    return value.flatten(1).sum(-1) if value.ndim > 1 else value


def symmetric_divergence(p: Any, q: Any, kl: Divergence | None = None) -> Tensor:
    """Compute KL(p||q) + KL(q||p) of two outputs of a decoder.

    Args:
        p: a distribution, or a tuple, list or dict of independent ones.
        q: another of the same kind.
        kl: the divergence KL(p||q); torch's own registry if None.

    Returns:
        The divergences, with the batch first; whatever follows is to be summed.

    Raises:
        InvalidParameterError: no divergence is registered.

    Example:
        >>> p, q = Bernoulli(torch.tensor([0.5])), Bernoulli(torch.tensor([0.25]))
        >>> symmetric_divergence(p, q)  # (1/2 - 1/4) (logit(1/2) - logit(1/4))
        tensor([0.2747])
    """
    return _symmetric(p, q) if kl is None else kl(p, q) + kl(q, p)


@singledispatch
def _symmetric(p: Any, q: Any) -> Tensor:
    try:
        value: Tensor = kl_divergence(p, q) + kl_divergence(q, p)
    except NotImplementedError as error:
        raise InvalidParameterError(
            "kl",
            "a divergence KL(p||q) of two outputs of the decoder",
            f"None, and torch has none registered for {type(p).__name__}",
            "Give `kl`, or register it with `torch.distributions.kl.register_kl`.",
        ) from error
    return value


@_symmetric.register(tuple)
@_symmetric.register(list)
def _of_products(p: Any, q: Any) -> Tensor:
    return torch.stack([_by_rows(_symmetric(*pair)) for pair in zip(p, q, strict=True)], -1)


@_symmetric.register(Mapping)
def _of_named_products(p: Mapping[str, Any], q: Mapping[str, Any]) -> Tensor:
    return _of_products(list(p.values()), [q[name] for name in p])


@_symmetric.register(Independent)
def _of_independent(p: Independent[Any], q: Independent[Any]) -> Tensor:
    return _symmetric(p.base_dist, q.base_dist)


# In an exponential family the sum of both divergences is a product of differences. Torch's own
# formulas for one of them look at values, which vmap cannot follow.


@_symmetric.register(Bernoulli)
def _of_bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    return (torch.sigmoid(p.logits) - torch.sigmoid(q.logits)) * (p.logits - q.logits)


@_symmetric.register(Categorical)
@_symmetric.register(OneHotCategorical)
def _of_categorical(p: Any, q: Any) -> Tensor:
    a, b = (torch.log_softmax(each.logits, -1) for each in (p, q))
    return ((a.exp() - b.exp()) * (a - b)).sum(-1)
