"""One component of a mixture of LANDs while it is fitted: its parameters, logs and draws."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from pullback import linalg
from pullback.errors import ConvergenceError
from pullback.manifolds import Manifold
from pullback.shapes import Codes, Latent, MetricMatrix, Nodes, Scalars
from pullback.statistics.densities.riemannian_normal import (
    NormalDraws,
    draw_normal,
    squared_mahalanobis,
    take_off,
)
from pullback.statistics.logarithms import Logarithms

__all__ = ["Component", "matched_covariance"]

# The step of the mean, in standard deviations of the component, by which the gradient is taken as a
# difference. Set by judgement: with less, the errors of short geodesics spoil it; with more, it is
# that of another place.
_STEP = 0.1
# How often a step of the mean is halved that does not raise the likelihood. All halves lie on one
# geodesic.
_HALVINGS = 5
# The most sweeps of the covariance towards the moments of the data.
_SWEEPS = 50
# The gain in log-likelihood below which the covariance has settled.
_GAIN = 1e-9
# A covariance is trusted only while the effective share of draws is at least this share of that at
# first: with fewer, a few draws would decide the normalising constant.
_FEWEST = 0.2
# The largest variance in any direction, as a multiple of that of the draws, up to which they are
# trusted: from 2 on the variance of their weights is infinite (Owen, Monte Carlo theory, methods
# and examples, 2013, section 9.3), and the normalising constant is that of where they lie.
_WIDEST = 1.5


class _Place(NamedTuple):
    """What is known at one mean: the logs of the data and of the draws."""

    mean: Tensor
    logs: Tensor
    # Which data were reached by a geodesic from the mean, and so have a log.
    reached: Tensor
    draw_logs: Tensor
    # The logarithms of the weights of the draws, divided by the density that they were drawn from.
    log_weights: Tensor


class Component:
    r"""A LAND with mean mu and covariance Sigma, whose normaliser is a mean over points z_s.

    The points are drawn once, by exp, with the volume c_s that each stands for; from then on they
    stay where they are, and log C(mu, Sigma) = log mean_s c_s exp(-1/2 |log_mu(z_s)|^2) is a smooth
    function of both parameters that needs no geodesic but the logs of the z_s, as long as the
    parameters keep near to those that the points were drawn for.

    Args:
        manifold: the latent space.
        Z: the data, shape `(n, d)`.
        eps: standard normal draws, shape `(s, d)`.
        mean: mu to begin with, shape `(d,)`.
        weights: w >= 0 of the data for the first covariance, shape `(n,)`.
        reg_covar: added to the diagonal of what Sigma is matched to.
        exact: whether the normaliser has the derivative of exp, see `draw_normal`.
        exact_logs: whether logs are searched as `Manifold.geodesic` does.

    Attributes:
        covariance: Sigma, shape `(d, d)`.
        n_geodesics: geodesics that were searched.
        n_followed: geodesics that were followed from the mean.

    Example:
        >>> from pullback.statistics.densities.riemannian_normal import antithetic
        >>> M, Z = Manifold(lambda z: z, dim=1), torch.tensor([[0.0], [2.0]]).double()
        >>> w = torch.ones(2).double()
        >>> component = Component(M, Z, antithetic(4, 1), Z[0], w)
        >>> component.maximize(w)
        >>> component.mean.round(decimals=3).tolist()
        [1.0]
    """

    _place: _Place
    # Where, and from which covariance, the draws were made.
    _drawn_at: _Place
    _drawn: MetricMatrix
    draws: NormalDraws

    def __init__(
        self,
        manifold: Manifold,
        Z: Codes,
        eps: Nodes,
        mean: Latent,
        weights: Tensor,
        *,
        reg_covar: float = 1e-6,
        exact: bool = True,
        exact_logs: bool = False,
    ) -> None:
        self.manifold, self.eps, self.reg_covar = manifold, eps, reg_covar
        self.exact, self.exact_logs = exact, exact_logs
        self.n_geodesics = self.n_followed = 0
        self._data = Logarithms(manifold, Z, exact=exact_logs)
        found = self._data.at(mean.unsqueeze(0))
        self.n_geodesics += len(Z)
        logs, reached = found.vectors[0], found.lengths[0].isfinite()
        self.covariance = self._target(logs, torch.where(reached, weights, 0))
        self._draw(mean, logs, reached)

    @property
    def mean(self) -> Latent:
        """The mean mu, shape `(d,)`."""
        return self._place.mean

    def log_prob(self) -> Scalars:
        """Compute log p of the data by the Riemannian volume: -inf where there is no geodesic."""
        place = self._place
        log_p = -squared_mahalanobis(place.logs, self.covariance) / 2
        log_p = log_p - _log_normalizer(place, self.covariance)
        return torch.where(place.reached, log_p, -torch.inf)

    def maximize(self, weights: Tensor, *, careful: bool = False) -> None:
        """Raise the likelihood of the data with weights r `(n,)`: one step of mu, and the best S.

        Args:
            weights: r >= 0.
            careful: go along the gradient, of 2 d more sets of logs, and not along the difference
                of the mean logs of data and draws, which is it in a flat space.
        """
        if not float(weights.sum()) > 0:
            return
        self.covariance = self._refit(self._place, weights)
        now = self._objective(self._place, self.covariance, weights)
        step = self._gradient_step(weights) if careful else self._difference(weights)
        for mean in self._on_the_way(step):
            if not bool(mean.isfinite().all()):
                continue
            place = self._measure(mean)
            if bool((weights[~place.reached] > 0).any()):
                continue
            covariance = self._refit(place, weights)
            if float(self._objective(place, covariance, weights)) > now:
                self._place, self.covariance = place, covariance
                return

    def freshness(self) -> float:
        """Compare how many draws count where the component is now with how many did at first."""
        return float(_effective_share(self._place, self.covariance)) / self._fresh_share

    def widening(self) -> float:
        """Compare the largest variance with that of the draws: at most `_WIDEST`."""
        return float(_widening(self.covariance, self._drawn))

    def renew(self) -> bool:
        """Make the draws anew where the component is now, from the same random numbers.

        Returns:
            Whether any of them could be followed. If none could, the component is back where the
            draws that it has were made: its covariance had grown past every wall.
        """
        try:
            self._draw(self.mean, self._place.logs, self._place.reached)
        except ConvergenceError:
            self._place, self.covariance = self._drawn_at, self._drawn
            return False
        return True

    def _draw(self, mean: Tensor, logs: Tensor, reached: Tensor) -> None:
        draws = draw_normal(self.manifold, mean, self.covariance, self.eps, exact=self.exact)
        draws.normalizer()  # raises if there is none
        self.draws, self._drawn = draws, self.covariance
        d, n = len(mean), len(self.eps)
        self.n_followed += n * (2 * d + 1 if self.exact else 1)
        self.n_geodesics += n
        kept = self.draws.log_weights.isfinite()
        both = torch.cat([self._data.Z, self.draws.points[kept]])
        self._both = Logarithms(self.manifold, both, exact=self.exact_logs)
        log_weights = self.draws.log_weights + self.eps.square().sum(-1) / 2 - math.log(n)
        self._place = _Place(mean, logs, reached, self.draws.vectors[kept], log_weights[kept])
        self._drawn_at = self._place
        self._fresh_share = float(_effective_share(self._place, self.covariance))

    def _measure(self, mean: Tensor) -> _Place:
        both = self._both.at(mean.unsqueeze(0))  # one search, for each costs much for a few
        self.n_geodesics += len(self._both.Z)
        n = len(self._data.Z)
        logs, draw_logs = both.vectors[0, :n], both.vectors[0, n:]
        reached, found = both.lengths[0, :n].isfinite(), both.lengths[0, n:].isfinite()
        # A draw that the search has lost keeps its log, or else its loss would count as a gain.
        draw_logs = torch.where(found[:, None], draw_logs, self._place.draw_logs)
        return _Place(mean, logs, reached, draw_logs, self._place.log_weights)

    def _on_the_way(self, step: Tensor) -> Tensor:
        """Return exp(mu, step), exp(mu, step / 2), ...: one geodesic passes through them all."""
        self.n_followed += 1
        times = 0.5 ** torch.arange(_HALVINGS).to(step)
        return take_off(self.manifold, self.mean, step).at(times)

    def _difference(self, weights: Tensor) -> Tensor:
        place = self._place
        expected = _softmax(place, self.covariance) @ place.draw_logs
        return weights @ place.logs / weights.sum() - expected

    def _gradient_step(self, weights: Tensor) -> Tensor:
        """Return Sigma times the gradient: in whitened coordinates the Hessian is nearly -I."""
        A = linalg.cholesky(self.covariance)[0]
        slopes = torch.zeros_like(self.mean)
        for k in range(len(slopes)):
            up, down = (
                self._objective(self._measure(self.mean + step * A[:, k]), self.covariance, weights)
                for step in (_STEP, -_STEP)
            )
            slopes[k] = (up - down) / (2 * _STEP)
        return A @ slopes

    def _objective(self, place: _Place, covariance: Tensor, weights: Tensor) -> Tensor:
        return _log_likelihood(place, covariance, self._target(place.logs, weights))

    def _refit(self, place: _Place, weights: Tensor) -> Tensor:
        target = self._target(place.logs, weights)
        covariance, logs = self.covariance, place.draw_logs
        return matched_covariance(covariance, target, logs, place.log_weights, drawn=self._drawn)

    def _target(self, logs: Tensor, weights: Tensor) -> Tensor:
        """Compute the second moment of the logs, with `reg_covar` on the diagonal."""
        total = weights.sum()
        share = weights / torch.where(total > 0, total, 1)
        ridge = self.reg_covar * torch.eye(logs.shape[1]).to(logs)
        return torch.einsum("n,ni,nj->ij", share, logs, logs) + ridge


def matched_covariance(
    covariance: MetricMatrix,
    target: MetricMatrix,
    logs: Codes,
    log_weights: Tensor,
    *,
    drawn: MetricMatrix | None = None,
) -> MetricMatrix:
    r"""Find the Sigma whose density, on weighted points, has the second moment S.

    Maximises -1/2 tr(Sigma^-1 S) - log sum_s c_s exp(-1/2 l_s^T Sigma^-1 l_s), which is concave in
    Sigma^-1: with V the second moment of the l_s under the density, Sigma + t (S - V) goes up for
    small t, and t is halved until it does. Where few of the points would count, or the density
    would be much wider than that which they were drawn from, it stops before.

    Args:
        covariance: where to begin, shape `(d, d)`.
        target: S, shape `(d, d)`.
        logs: l_s, shape `(s, d)`.
        log_weights: log c_s, shape `(s,)`.
        drawn: the covariance that the points were drawn from, shape `(d, d)`, if they were.

    Returns:
        Sigma, shape `(d, d)`.

    Source:
        Wainwright and Jordan, Graphical models, exponential families, and variational inference
        (2008), section 3.6, on matching moments.

    Example:
        >>> x = torch.linspace(-9, 9, 1001).double().unsqueeze(-1)
        >>> S = torch.tensor([[2.0]]).double()
        >>> start, weights = torch.ones(1, 1).double(), torch.zeros(1001).double()
        >>> round(matched_covariance(start, S, x, weights).item(), 4)
        2.0
    """
    place = _Place(logs[:0], logs, logs[:, 0] == 0, logs, log_weights)
    fewest = _FEWEST * _effective_share(place, covariance)

    def value(covariance: Tensor) -> Tensor:
        enough = _effective_share(place, covariance) >= fewest
        usable = linalg.cholesky(covariance)[1] & enough
        if drawn is not None:
            usable = usable & (_widening(covariance, drawn) <= _WIDEST)
        return torch.where(usable, _log_likelihood(place, covariance, target), -torch.inf)

    now, t = value(covariance), 1.0
    for _ in range(_SWEEPS):
        moment = torch.einsum("s,si,sj->ij", _softmax(place, covariance), logs, logs)
        trial = covariance + t * (target - moment)
        reached = value(trial)
        if bool(reached > now):
            gain, covariance, now, t = float(reached - now), trial, reached, min(1.0, 2 * t)
            if gain < _GAIN:
                break
        else:
            t /= 2
    return covariance


def _widening(covariance: Tensor, drawn: Tensor) -> Tensor:
    """Compute the largest eigenvalue of drawn^-1 covariance."""
    A = linalg.cholesky(drawn)[0]
    half = torch.linalg.solve_triangular(A, covariance, upper=False)
    whitened = torch.linalg.solve_triangular(A, half.mT, upper=False)
    largest: Tensor = torch.linalg.eigvalsh(whitened).amax()
    return largest


def _log_likelihood(place: _Place, covariance: Tensor, target: Tensor) -> Tensor:
    """Compute the mean log-likelihood of data whose logs have a second moment."""
    spread = torch.cholesky_solve(target, linalg.cholesky(covariance)[0]).trace()
    return -spread / 2 - _log_normalizer(place, covariance)


def _exponents(place: _Place, covariance: Tensor) -> Tensor:
    return place.log_weights - squared_mahalanobis(place.draw_logs, covariance) / 2


def _softmax(place: _Place, covariance: Tensor) -> Tensor:
    return torch.softmax(_exponents(place, covariance), 0)


def _log_normalizer(place: _Place, covariance: Tensor) -> Tensor:
    return torch.logsumexp(_exponents(place, covariance), 0)


def _effective_share(place: _Place, covariance: Tensor) -> Tensor:
    """Compute 1 / (n sum_s p_s^2) of the probabilities p_s of the draws."""
    p = _softmax(place, covariance)
    return 1 / (p.square().sum() * len(p))
