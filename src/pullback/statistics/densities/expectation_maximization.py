"""Expectation and maximisation by turns, for a mixture of components that can do their part."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pullback.shapes import Scalars
from pullback.statistics.densities.land_component import Component

__all__ = ["Mixture", "fit_mixture", "responsibilities"]


# Draws follow a component as it moves by weights. They are drawn anew when fewer than this share of
# those that counted at first still count.
_STALE = 0.5
# The same share, below which they are drawn anew before a mixture counts as converged: the
# normalising constants that are told belong to fresh draws.
_NEAR = 0.98
# They are also drawn anew where the variance has grown by this factor in some direction, which is
# well before they cease to be trusted (`land_component._WIDEST`). Set by judgement.
_WIDER = 1.2


class Mixture(NamedTuple):
    """What expectation and maximisation came to.

    Attributes:
        components: the components.
        weights: pi, shape `(K,)`.
        history: the mean log-likelihood of the data before the first turn and after each.
        renewed: the turns, from 1, after which draws were renewed.
        converged: whether the tolerance was met.
        lost: whether it stopped as a covariance had grown past all that geodesics can be followed
            to, see `Component.renew`.
        log_prob: log pi_k p_k(z_i) at the end, shape `(K, n)`.

    Example:
        >>> Mixture._fields[:2]
        ('components', 'weights')
    """

    components: Sequence[Component]
    weights: Tensor
    history: list[float]
    renewed: list[int]
    converged: bool
    lost: bool
    log_prob: Tensor


def fit_mixture(
    components: Sequence[Component],
    weights: Tensor,
    sample_weight: Scalars,
    *,
    max_iter: int,
    tol: float,
) -> Mixture:
    """Raise the likelihood of a mixture turn by turn.

    Once a turn gains less than `tol`, the draws are renewed and further turns go along gradients,
    which is dearer; when one of them gains less than `tol` too, not far from where the draws were
    made, the mixture has converged. Points that no component reaches do not count.

    Args:
        components: the components; they are changed.
        weights: pi to begin with, shape `(K,)`.
        sample_weight: w >= 0 of the data, shape `(n,)`.
        max_iter: most turns.
        tol: of the mean log-likelihood.

    Returns:
        The mixture.

    Source:
        Dempster, Laird, Rubin, Maximum likelihood from incomplete data via the EM algorithm (1977),
        whose generalised form asks for no more of a turn than a gain.

    Example:
        >>> from pullback.manifolds import Manifold
        >>> from pullback.statistics.densities.riemannian_normal import antithetic, standardized
        >>> M, Z = Manifold(lambda z: z, dim=1), torch.tensor([[0.0], [2.0]]).double()
        >>> w = torch.ones(2).double()
        >>> component = Component(M, Z, standardized(antithetic(40, 1)), Z[0], w)
        >>> fit_mixture([component], w[:1], w, max_iter=20, tol=1e-6).converged
        True
    """
    log_prob = _log_prob(components, weights)
    before = _mean(log_prob, sample_weight)
    history, renewed = [before], list[int]()
    careful = converged = lost = False
    while len(history) <= max_iter and not (converged or lost):
        share = responsibilities(log_prob) * sample_weight
        weights = share.sum(-1) / share.sum()
        for component, own in zip(components, share, strict=True):
            component.maximize(own, careful=careful)
        log_prob = _log_prob(components, weights)
        history.append(_mean(log_prob, sample_weight))
        little = history[-1] - before < tol
        converged = little and careful and all(part.freshness() > _NEAR for part in components)
        stale = [] if converged else _stale(components, every=little)
        if stale:
            lost = not all(component.renew() for component in stale)
            renewed.append(len(history) - 1)
            log_prob = _log_prob(components, weights)
        if lost:
            history[-1] = _mean(log_prob, sample_weight)
        before = _mean(log_prob, sample_weight)
        careful = careful or little
    return Mixture(components, weights, history, renewed, converged, lost, log_prob)


def responsibilities(log_prob: Tensor) -> Tensor:
    """Compute the probability of each component given each point: 0 where none reaches.

    Args:
        log_prob: log pi_k p_k(z_i), shape `(K, n)`.

    Returns:
        Probabilities, shape `(K, n)`.

    Example:
        >>> responsibilities(torch.tensor([[0.0, -torch.inf], [0.0, -torch.inf]])).tolist()
        [[0.5, 0.0], [0.5, 0.0]]
    """
    reached = log_prob.isfinite().any(0)
    return torch.where(reached, torch.softmax(torch.where(reached, log_prob, 0), 0), 0)


def _log_prob(components: Sequence[Component], weights: Tensor) -> Tensor:
    return weights.log()[:, None] + torch.stack([part.log_prob() for part in components])


def _stale(components: Sequence[Component], *, every: bool) -> list[Component]:
    """Choose the components where draws count for too little, or lie too close, or all."""
    return [
        component
        for component in components
        if every or component.freshness() < _STALE or component.widening() > _WIDER
    ]


def _mean(log_prob: Tensor, sample_weight: Tensor) -> float:
    log_p = log_prob.logsumexp(0)
    reached = log_p.isfinite()
    total = sample_weight[reached].sum()
    return float((sample_weight * torch.where(reached, log_p, 0)).sum() / total)
