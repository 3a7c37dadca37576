"""LAND, the locally adaptive normal distribution, and mixtures of it."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback.errors import (
    ConvergenceWarning,
    InvalidDataError,
    check_choice,
    check_integer,
    check_number,
)
from pullback.manifolds import Manifold
from pullback.shapes import Codes, Nodes
from pullback.statistics.base import numpy_random_state, to_array
from pullback.statistics.clustering.lloyd import ClusterGraph
from pullback.statistics.densities.expectation_maximization import (
    Mixture,
    fit_mixture,
)
from pullback.statistics.densities.land_component import Component
from pullback.statistics.densities.riemannian_mixture import RiemannianMixture, warn_of_unreached
from pullback.statistics.densities.riemannian_normal import antithetic, draw_normal, standardized
from pullback.statistics.logarithms import Logarithms

__all__ = ["LAND"]

# The starts of k-means are seeded by random numbers below this, as in scikit-learn.
_SEEDS = 2**31 - 1
# The most data, drawn at random, that the starts by k-means are sought on: a graph holds all their
# distances.
_SEEDED = 1000
# Runs of k-means, of which the best is the start.
_SEEDINGS = 10
# The share of the draws of a component that may be lost, as their geodesics leave the space,
# without a warning.
_MANY_LOST = 0.05


class LAND(RiemannianMixture):
    r"""A mixture of normal distributions along geodesics: with one component, the LAND itself.

    p(z) = sum_k pi_k exp(-1/2 log_mu_k(z)^T Sigma_k^-1 log_mu_k(z)) / C(mu_k, Sigma_k), a density
    by the Riemannian volume. The logs are those that searches find, shortest geodesics as far as
    they succeed. The normaliser is a Monte Carlo mean over the tangent space, see `draw_normal`.

    Fitted by maximum likelihood, as EM does. Each M-step refits Sigma_k, a concave problem without
    geodesics, and moves mu_k along the difference of the mean logs of data and draws; once that
    gains little, the draws are renewed where the components are by then, and mu_k moves along the
    gradient. No step is taken that does not raise the likelihood of the data under the draws there
    are. Where they are renewed, from the same random numbers, it may fall by about its standard
    error. The normalisers at the end come from new random numbers, for the likelihood is too good
    under those that it was fitted with.

    Args:
        manifold: the latent space; best a table (`Manifold.tabulated`, with a `margin` that draws
            do not leave: three standard deviations beyond the means).
        n_components: the number of components K.
        max_iter: most turns of EM.
        tol: stop when turns of both kinds raise the mean log-likelihood by less than this.
        n_samples: draws for each normaliser; its error falls with their root.
        n_init: starts; the one of the largest likelihood is kept.
        reg_covar: >= 0, added to the diagonal of the second moments that covariances are matched
            to, in the squared unit of the coordinates.
        init: `"k-means"` on a graph over the data, or `"random"`: centres drawn among the data.
        normalizer: `"exact"`, or `"paper"` for the formula of the paper, which takes the volume of
            the tangent space for that of the space: what it gives is no density.
        exact: search each log as `Manifold.geodesic` does; else shortly, to about a thousandth.
        random_state: seed: an integer, a NumPy `RandomState` or `Generator`, or None.

    Attributes:
        weights_: pi, an array of shape `(K,)`.
        means_: mu, a tensor of shape `(K, d)`.
        covariances_: Sigma, in the coordinates at each mean, a tensor of shape `(K, d, d)`.
        log_normalizer_: log C, an array of shape `(K,)`.
        normalizer_: C in the unit of the Riemannian volume, an array of shape `(K,)`.
        normalizer_standard_error_: the standard error of C over the draws, shape `(K,)`.
        log_likelihood_standard_error_: of the mean log-likelihood of the data, for the error of C.
        lower_bound_: the mean log-likelihood of the data with the draws of the fit.
        log_likelihood_history_: the same before the first turn and after each.
        renewed_: the turns, from 1, after which draws were renewed.
        converged_: whether `tol` was met.
        n_iter_: turns of EM.
        n_failed_: data that no component reaches by a geodesic; they do not count in the fit.
        n_lost_: for each component the draws at the end whose geodesic could not be followed.
        n_beyond_: for each component the draws at the end past the cut locus, which do not count.
        n_geodesics_: geodesics that were searched in the fit.
        n_followed_: geodesics that were followed in the fit.

    Source:
        Arvanitidis, Hansen, Hauberg, A locally adaptive normal distribution (2016).

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> land = LAND(M).fit([[0.0], [1.0], [2.0]])
        >>> land.means_.round(decimals=3).tolist(), land.covariances_.round(decimals=3).tolist()
        ([[1.0]], [[[0.667]]])
        >>> round(land.score([[1.0]]), 3)  # -log(2 sqrt(2 pi 2/3))
        -1.409
    """

    weights_: NDArray[np.float64]
    means_: Tensor
    covariances_: Tensor
    log_normalizer_: NDArray[np.float64]
    normalizer_: NDArray[np.float64]
    normalizer_standard_error_: NDArray[np.float64]
    log_likelihood_standard_error_: float
    lower_bound_: float
    log_likelihood_history_: list[float]
    renewed_: list[int]
    converged_: bool
    n_iter_: int
    n_failed_: int
    n_lost_: list[int]
    n_beyond_: list[int]
    n_geodesics_: int
    n_followed_: int

    def __init__(
        self,
        manifold: Manifold,
        n_components: int = 1,
        *,
        max_iter: int = 100,
        tol: float = 1e-3,
        n_samples: int = 500,
        n_init: int = 1,
        reg_covar: float = 1e-6,
        init: str = "k-means",
        normalizer: str = "exact",
        exact: bool = False,
        random_state: Any = None,
    ) -> None:
        self.manifold = manifold
        self.n_components = n_components
        self.max_iter = max_iter
        self.tol = tol
        self.n_samples = n_samples
        self.n_init = n_init
        self.reg_covar = reg_covar
        self.init = init
        self.normalizer = normalizer
        self.exact = exact
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> "LAND":
        """Find the mixture of the largest likelihood.

        Args:
            X: latent points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.
            sample_weight: w >= 0, shape `(n,)`; 1 if None.

        Returns:
            The estimator itself.

        Raises:
            InvalidParameterError: a setting is out of range.
            InvalidDataError: bad points or weights, fewer points than components, or fewer
                than 3 (2 on a line).
            ConvergenceError: no draw of a component, or no point, could be reached.
        """
        del y
        self._check_settings()
        X = self._points(X, reset=True, min_samples=2)
        weights = self._weights(sample_weight, X)
        counted = weights > 0
        if int(counted.sum()) < self.n_components:
            raise InvalidDataError(
                f"`n_components` must be at most the number of points, but got {self.n_components} "
                f"for n_samples = {int(counted.sum())}. Ask for fewer, or give more points."
            )
        # So few points leave a covariance that is `reg_covar` in some direction, or in all.
        if int(counted.sum()) <= min(X.shape[1], 2):
            raise InvalidDataError(
                f"`X` must have at least 3 points (2 on a line), but has {int(counted.sum())}. "
                "Give more points."
            )
        rng = numpy_random_state(self.random_state)
        seeds = rng.randint(_SEEDS, size=self.n_init)
        eps = standardized(antithetic(self.n_samples, X.shape[1], rng, like=X))
        runs = [self._run(X[counted], weights[counted], eps, int(seed)) for seed in seeds]
        best = max(runs, key=lambda run: run.history[-1])
        self._keep(best, rng)
        return self

    def fit_predict(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> NDArray[np.int64]:
        """Fit, and say which component is the most probable for each point."""
        return self.fit(X, y, sample_weight=sample_weight).predict(X)

    def _check_settings(self) -> None:
        check_integer("n_components", self.n_components)
        check_integer("max_iter", self.max_iter)
        check_number("tol", self.tol, 0)
        check_integer("n_samples", self.n_samples, low=4)
        check_integer("n_init", self.n_init)
        check_number("reg_covar", self.reg_covar, 0)
        check_choice("init", self.init, ("k-means", "random"))
        check_choice("normalizer", self.normalizer, ("exact", "paper"))

    def _run(self, Z: Codes, weights: Tensor, eps: Nodes, seed: int) -> Mixture:
        labels, centers = self._start(Z, weights, seed)
        exact = self.normalizer == "exact"
        components = [
            Component(
                self.manifold,
                Z,
                eps,
                center,
                torch.where(labels == k, weights, 0),
                reg_covar=self.reg_covar,
                exact=exact,
                exact_logs=self.exact,
            )
            for k, center in enumerate(centers)
        ]
        total = torch.stack([weights[labels == k].sum() for k in range(len(centers))])
        return fit_mixture(
            components, total / total.sum(), weights, max_iter=self.max_iter, tol=self.tol
        )

    def _start(self, Z: Codes, weights: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """Return centres, and the nearest of them for each point, -1 where none reaches."""
        rng = np.random.default_rng(seed)
        p = to_array(weights / weights.sum())
        random = self.init == "random"
        n = self.n_components if random else min(len(Z), max(_SEEDED, self.n_components))
        some = torch.as_tensor(rng.choice(len(Z), n, replace=False, p=p if random else None))
        centers = Z[some.to(Z.device)]
        if not random:
            graph = ClusterGraph(self.manifold, centers)
            chosen = weights[some.to(Z.device)]
            options = {"n_init": _SEEDINGS, "max_iter": self.max_iter}
            centers, _ = graph.choose(chosen, self.n_components, rng=rng, **options)
        lengths = Logarithms(self.manifold, Z, exact=self.exact).at(centers).lengths
        reached = lengths.isfinite().any(0)
        return torch.where(reached, lengths.argmin(0), -1), centers

    def _keep(self, best: Mixture, rng: Any) -> None:
        self.weights_ = to_array(best.weights)
        self.means_ = torch.stack([part.mean for part in best.components])
        self.covariances_ = torch.stack([part.covariance for part in best.components])
        self.lower_bound_, self.log_likelihood_history_ = best.history[-1], best.history
        self.renewed_, self.converged_ = best.renewed, best.converged
        self.n_iter_ = len(best.history) - 1
        self.n_failed_ = int((~best.log_prob.isfinite()).all(0).sum())
        self.n_geodesics_ = sum(part.n_geodesics for part in best.components)
        self.n_followed_ = sum(part.n_followed for part in best.components)
        self._normalize(rng)
        relative = self.normalizer_standard_error_ / self.normalizer_
        self.log_likelihood_standard_error_ = float(np.linalg.norm(self.weights_ * relative))
        self._warn(best)

    def _normalize(self, rng: Any) -> None:
        eps = antithetic(self.n_samples, self.means_.shape[1], rng, like=self.means_)
        exact = self.normalizer == "exact"
        draws = [
            draw_normal(self.manifold, mean, covariance, eps, exact=exact)
            for mean, covariance in zip(self.means_, self.covariances_, strict=True)
        ]
        found = [part.normalizer() for part in draws]
        self.normalizer_ = np.array([C.value for C in found])
        self.normalizer_standard_error_ = np.array([C.standard_error for C in found])
        self.log_normalizer_ = np.array([C.log_value for C in found])
        self.n_lost_ = [part.n_lost for part in draws]
        self.n_beyond_ = [part.n_beyond for part in draws]

    def _warn(self, best: Mixture) -> None:
        if not self.converged_:
            why = f"in `max_iter` = {self.max_iter} turns: raise it, or loosen `tol`."
            if best.lost:
                why = (
                    f"but stopped after {self.n_iter_} turns: the covariance of a component grew "
                    "until no geodesic from its mean could be followed, and is that of the turn "
                    "before. Ask for more components, or start from other means (`init`, "
                    "`random_state`)."
                )
            warnings.warn(f"LAND did not converge {why}", ConvergenceWarning, stacklevel=4)
        if max(self.n_lost_) > _MANY_LOST * self.n_samples:
            warnings.warn(
                f"{max(self.n_lost_)} of {self.n_samples} geodesics from a mean could not be "
                "followed: they end at a wall or an edge of the space, or take too many steps. The "
                "normaliser does not count what lies beyond.",
                ConvergenceWarning,
                stacklevel=4,
            )
        warn_of_unreached(self.n_failed_, best.log_prob.shape[1])
