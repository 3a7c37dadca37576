"""The density of data on a curved space, by kernels of geodesic distance."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pullback.errors import (
    ConvergenceError,
    InvalidParameterError,
    check_choice,
    check_integer,
    check_number,
)
from pullback.geodesics import shoot, warn_of_failures
from pullback.linalg import cholesky
from pullback.manifolds import Manifold
from pullback.shapes import Codes
from pullback.statistics.base import LatentEstimator, numpy_random_state, to_array
from pullback.statistics.densities.bandwidth import held_out_bandwidth, log_kernel, rule_of_thumb
from pullback.statistics.densities.volume_density import log_volume_density

__all__ = ["KernelDensity"]

# What `bandwidth=` may be called.
_RULES = ("likelihood", "scott", "silverman")
# The most pairs of points whose distances a rule of thumb takes: a standard deviation from 2000 of
# them is right to a few percent.
_PAIRS = 2000
# Kernels that together add less than this share to the density at a point are left out, without a
# geodesic to them.
_NEGLIGIBLE = 1e-6
# Nearest kernels, by a lower bound, that are measured at each point first, to know its density
# roughly and which other kernels may matter.
_FIRST = 8
# Points whose density is computed together: it bounds memory.
_BLOCK = 512
# Geodesics whose nodes are kept at once: it bounds memory.
_CURVES = 8192
# How often draws whose geodesic left the space are made again before it is an error.
_REDRAWS = 5
# The relative tolerance of geodesics to samples: those are random, and 1e-6 of a step cannot be
# seen.
_SAMPLED = 1e-6
# The most steps of the integrator on each of them: it bounds the time that a wall may take.
_MOST_STEPS = 100


class _Kernels(NamedTuple):
    """Logarithms of kernels between points, shape `(m, n)`, and how they were found."""

    length: Tensor
    log_density: Tensor
    n_solved: int
    n_failed: int


class KernelDensity(LatentEstimator):
    r"""The density p(z) = sum_i w_i K_h(d(z, z_i)) / theta_i(z), w.r.t. the Riemannian volume.

    K_h(r) = (2 pi h^2)^(-d/2) exp(-r^2 / (2 h^2)), and theta_i(z) = |det D exp_{z_i}| at
    log_{z_i}(z), the volume density: it undoes how exp stretches volume, so that each kernel, and
    p, integrates to 1 as long as nearly all of its mass lies closer to z_i than the first point
    where geodesics cross. p is the law of z_i drawn by w, and exp(z_i, v) with normal v of variance
    h^2 in the metric: that is what `sample` draws.

    theta costs about as much as two steps of Newton's method for each geodesic, a tenth to a third
    of the search. Without it (`volume_density=False`) a kernel integrates to about 1 - S h^2 / 6,
    S being the scalar curvature, 2 on the unit sphere: for bandwidths far smaller than the radius
    of curvature it does not matter. Kernels that cannot add to p are not measured: the image of
    the decoder bounds distances from below.

    A held-out likelihood chooses h at the cost of all n (n - 1) / 2 geodesics, once. `GridSearchCV`
    works too, and measures again for each h: give it a manifold with a table.

    Args:
        manifold: the latent space.
        bandwidth: h > 0, a geodesic distance; or `"scott"` or `"silverman"`, see
            `bandwidth.rule_of_thumb`; or `"likelihood"`, see `bandwidth.held_out_bandwidth`.
        volume_density: whether to divide by theta.
        method: `"auto"`, `"newton"` or `"table"`, and without theta `"graph"`: see
            `geodesics.Ruler`.

    Attributes:
        Z_: the training points, shape `(n, d)`.
        weights_: their weights w, which add up to 1, shape `(n,)`.
        bandwidth_: h.
        n_failed_: geodesics that failed while h was chosen.

    Source:
        Pelletier, Kernel density estimation on Riemannian manifolds (2005).

    Example:
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> density = KernelDensity(M, bandwidth=1.0).fit([[0.0], [3.0]])
        >>> density.score_samples([[0.0], [1.5]]).round(3)  # log of (1 + e^-18) / 2 and e^-4.5
        array([-1.612, -5.419])
    """

    Z_: Tensor
    weights_: Tensor
    bandwidth_: float
    n_failed_: int

    def __init__(
        self,
        manifold: Manifold,
        *,
        bandwidth: float | str = "scott",
        volume_density: bool = True,
        method: str = "auto",
    ) -> None:
        self.manifold = manifold
        self.bandwidth = bandwidth
        self.volume_density = volume_density
        self.method = method

    def fit(self, X: Any, y: Any = None, *, sample_weight: Any = None) -> "KernelDensity":
        """Keep the points, and choose the bandwidth.

        Args:
            X: points, shape `(n, d)`.
            y: ignored; for the scikit-learn contract.
            sample_weight: weights >= 0, shape `(n,)`; equal if None.

        Returns:
            The estimator itself.

        Raises:
            InvalidParameterError: a setting is out of range.
            InvalidDataError: bad points or weights, or points from which no bandwidth follows.
        """
        del y
        self._check()
        self.Z_ = self._points(X, reset=True)
        weights = self._weights(sample_weight, self.Z_)
        self.weights_ = weights / weights.sum()
        self._ruler = self.manifold.ruler(self.Z_, self.method)
        self.n_failed_ = 0
        self.bandwidth_ = self._choose_bandwidth()
        return self

    def score_samples(self, X: Any) -> NDArray[Any]:
        """Compute the logarithm of the density with respect to the Riemannian volume.

        A kernel whose geodesic has no finite length adds nothing, and is warned of.

        Args:
            X: points, shape `(m, d)`.

        Returns:
            Log-densities, shape `(m,)`: `-inf` where no kernel reaches.

        Raises:
            NotFittedError: `fit` has not been called.
            InvalidDataError: bad points.
        """
        check_is_fitted(self)
        points = self._points(X, reset=False)
        log_p, n_solved, n_failed = [], 0, 0
        for block in points.split(_BLOCK):
            kernels = self._kernels(block)
            log_p.append(torch.logsumexp(self._log_kernel(kernels), 1))
            n_solved, n_failed = n_solved + kernels.n_solved, n_failed + kernels.n_failed
        warn_of_failures(n_failed, n_solved, stacklevel=3)
        return to_array(torch.cat(log_p))

    def log_density(self, X: Any, *, measure: str = "riemannian") -> NDArray[Any]:
        """Compute the logarithm of the density with respect to one of two measures.

        Args:
            X: points, shape `(m, d)`.
            measure: `"riemannian"` for the volume of the space, as `score_samples`; `"lebesgue"`
                for that of the coordinates, higher by `Manifold.log_volume`.

        Returns:
            Log-densities, shape `(m,)`.
        """
        check_choice("measure", measure, ("lebesgue", "riemannian"))
        log_p = self.score_samples(X)
        if measure == "lebesgue":
            log_p = log_p + to_array(self.manifold.log_volume(self._points(X, reset=False)))
        return log_p

    def score(self, X: Any, y: Any = None) -> float:
        """Add up `score_samples` over points, as scikit-learn's `KernelDensity` does."""
        del y
        return float(self.score_samples(X).sum())

    def sample(self, n_samples: int = 1, *, random_state: Any = None) -> NDArray[Any]:
        """Draw points: a training point, and a normal tangent vector that exp follows.

        A geodesic that leaves the region where the metric is finite is drawn anew, with a warning.

        Args:
            n_samples: how many.
            random_state: an integer, a NumPy `RandomState` or `Generator`, or None.

        Returns:
            Points, shape `(n_samples, d)`.

        Raises:
            NotFittedError: `fit` has not been called.
            ConvergenceError: geodesics fail again and again.
        """
        check_is_fitted(self)
        check_integer("n_samples", n_samples)
        rng = numpy_random_state(random_state)
        points = self.Z_.new_zeros(n_samples, self.Z_.shape[1])
        left, n_failed = torch.arange(n_samples, device=points.device), 0
        for _ in range(_REDRAWS):
            drawn, followed = self._draw(len(left), rng)
            points[left[followed]] = drawn[followed]
            left = left[~followed]
            n_failed += len(left)
            if len(left) == 0:
                warn_of_failures(n_failed, n_samples + n_failed, stacklevel=3)
                return to_array(points)
        raise ConvergenceError(
            f"{len(left)} of {n_samples} geodesics from training points left the region where the "
            f"metric is finite, {_REDRAWS} times in a row. Take a smaller `bandwidth`."
        )

    def _check(self) -> None:
        if isinstance(self.bandwidth, str):
            check_choice("bandwidth", self.bandwidth, _RULES)
        else:
            check_number("bandwidth", self.bandwidth, 0, open_low=True)
        if self.volume_density and self.method == "graph":
            cure = "A graph has no geodesics: set `volume_density=False`."
            allowed = "'auto', 'newton' or 'table' with a volume density"
            raise InvalidParameterError("method", allowed, "'graph'", cure)

    def _choose_bandwidth(self) -> float:
        if not isinstance(self.bandwidth, str):
            return float(self.bandwidth)
        n, d = self.Z_.shape
        n_effective = 1 / float(self.weights_.square().sum())
        rule = "scott" if self.bandwidth == "likelihood" else self.bandwidth
        i, j = torch.triu_indices(n, n, offset=1)
        if self.bandwidth != "likelihood":  # a sample of the pairs will do
            chosen = torch.as_tensor(np.random.default_rng(0).permutation(len(i))[:_PAIRS])
            i, j = i[chosen], j[chosen]
        i, j = i.to(self.Z_.device), j.to(self.Z_.device)
        found = self._measure(i, j, self.bandwidth == "likelihood")
        self.n_failed_ = found.n_failed
        warn_of_failures(found.n_failed, found.n_solved, stacklevel=4)
        guess = rule_of_thumb(found.length, n_effective, d, rule)
        if self.bandwidth != "likelihood":
            return guess
        length, log_density = self.Z_.new_zeros(n, n), self.Z_.new_zeros(n, n)
        length[i, j], log_density[i, j] = found.length, found.log_density
        length, log_density = length + length.T, log_density + log_density.T
        return held_out_bandwidth(length, log_density, self.weights_, d, guess=guess)

    def _kernels(self, points: Codes) -> _Kernels:
        """Measure from points to those training points that can matter."""
        if not hasattr(self, "_ruler"):  # read from a file
            self._ruler = self.manifold.ruler(self.Z_, self.method)
        if self.method == "graph":
            length = self._ruler.to(points).length
            n_failed = int((~length.isfinite()).sum())
            return _Kernels(length, torch.zeros_like(length), length.numel(), n_failed)
        bounds = self._ruler.bounds(points)
        unknown = torch.full_like(bounds, torch.inf)
        kernels = _Kernels(unknown, torch.zeros_like(bounds), 0, 0)
        first = bounds.topk(min(_FIRST, bounds.shape[1]), largest=False).indices
        nearest = torch.zeros_like(bounds, dtype=torch.bool).scatter(1, first, True)
        kernels = self._add(kernels, points, nearest)
        log_p = torch.logsumexp(self._log_kernel(kernels), 1, keepdim=True)
        # By their lower bounds of distance, all kernels from the furthest to this one add at most
        # this to the density: those whose sum is negligible are left out.
        order = bounds.argsort(dim=1, descending=True)
        most = self._log_kernel(_Kernels(bounds, torch.zeros_like(bounds), 0, 0)).gather(1, order)
        matters = torch.logcumsumexp(most, 1) > log_p + math.log(_NEGLIGIBLE)
        matters = torch.zeros_like(nearest).scatter(1, order, matters)
        return self._add(kernels, points, matters & ~nearest)

    def _add(self, kernels: _Kernels, points: Codes, wanted: Tensor) -> _Kernels:
        """Measure those pairs of points and training points that are wanted."""
        i, j = wanted.nonzero().T
        found = self._measure_pairs(points[i], self.Z_[j], self.volume_density)
        kernels.length[i, j], kernels.log_density[i, j] = found.length, found.log_density
        n_solved = kernels.n_solved + found.n_solved
        return kernels._replace(n_solved=n_solved, n_failed=kernels.n_failed + found.n_failed)

    def _measure(self, i: Tensor, j: Tensor, density: bool) -> _Kernels:
        """Measure between training points, given by index."""
        if self.method == "graph":
            length = self._ruler.among().length[i, j]
            n_failed = int((~length.isfinite()).sum())
            return _Kernels(length, torch.zeros_like(length), len(length), n_failed)
        return self._measure_pairs(self.Z_[i], self.Z_[j], density and self.volume_density)

    def _measure_pairs(self, a: Codes, b: Codes, density: bool) -> _Kernels:
        """Measure each pair; one whose volume density is not finite counts as failed."""
        parts, n_failed = [], 0
        for k in range(0, max(len(a), 1), _CURVES):
            found = self._ruler.pairs(a[k : k + _CURVES], b[k : k + _CURVES], curves=density)
            length, log_density = found.length, torch.zeros_like(found.length)
            usable = length.isfinite()
            if density and found.nodes is not None and bool(usable.any()):
                nodes = found.nodes[usable]
                log_density[usable] = log_volume_density(self._ruler.metric, nodes)
            lost = usable & ~log_density.isfinite()
            parts.append((length.masked_fill(lost, torch.inf), log_density.masked_fill(lost, 0)))
            n_failed += found.n_failed + int(lost.sum())
        length, log_density = (torch.cat(part) for part in zip(*parts, strict=True))
        return _Kernels(length, log_density, len(a), n_failed)

    def _log_kernel(self, kernels: _Kernels) -> Tensor:
        d = self.Z_.shape[1]
        logs = log_kernel(kernels.length, kernels.log_density, self.bandwidth_, d)
        return logs + self.weights_.log()

    def _draw(self, n: int, rng: np.random.RandomState) -> tuple[Tensor, Tensor]:
        """Draw points, and say of which the geodesic was followed to its end."""
        weights = to_array(self.weights_).astype(float)
        chosen = rng.choice(len(self.Z_), size=n, p=weights / weights.sum())
        z = self.Z_[torch.as_tensor(chosen, device=self.Z_.device)]
        normal = torch.as_tensor(rng.standard_normal((n, self.Z_.shape[1]))).to(z)
        factor, positive = cholesky(self.manifold.metric_matrix(z).detach())
        v = torch.linalg.solve_triangular(factor.mT, normal.unsqueeze(-1), upper=True)
        v = self.bandwidth_ * v.squeeze(-1)
        flight = shoot(self.manifold.metric, z, v, rtol=_SAMPLED, max_steps=_MOST_STEPS)
        return flight.end.detach().to(z), flight.converged & positive
