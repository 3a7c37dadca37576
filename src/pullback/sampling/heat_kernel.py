"""The heat kernel, the law of Brownian motion at a time t: what is normal on a manifold."""

import math
from typing import Any

import torch
from torch import Tensor

from pullback.errors import InvalidDataError, check_integer, check_number, check_points
from pullback.manifolds import Manifold
from pullback.sampling.brownian import BrownianMotion
from pullback.sampling.independent import IndependentSampler
from pullback.sampling.samples import Samples
from pullback.shapes import Latent, Scalars

__all__ = ["HeatKernel", "HeatKernelDraws"]


class HeatKernel:
    r"""The density p_t(z_0, z) of Brownian motion from z_0 at time t, and draws from it.

    Draws are the ends of random walks. The density is with respect to the Riemannian volume; add
    `Manifold.log_volume` for that in coordinates.

    Args:
        manifold: the manifold.
        time: t > 0, the variance along each direction where space is flat.
        n_substeps: steps of the walk to one draw, each of the time t / n_substeps. The error of the
            law of the draws falls as 1 / n_substeps.
        method: how to walk, see `BrownianMotion`.

    Raises:
        InvalidParameterError: a parameter is out of range.

    Source:
        Hsu, Stochastic Analysis on Manifolds (2002), chapter 5; Kalatzis, Eklund, Arvanitidis,
        Hauberg, Variational autoencoders with Riemannian Brownian motion priors (2020).

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> kernel = HeatKernel(Manifold(HalfPlane()), time=0.1)
        >>> kernel.sample([0.0, 1.0], n_draws=5, random_state=0).points.shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        manifold: Manifold,
        *,
        time: float,
        n_substeps: int = 100,
        method: str = "ito",
    ) -> None:
        self.time = check_number("time", time, 0, open_low=True)
        self.n_substeps = check_integer("n_substeps", n_substeps)
        self._walk = BrownianMotion(
            manifold,
            step_size=math.sqrt(self.time / self.n_substeps),
            method=method,
            thinning=self.n_substeps,
        )
        self.manifold = manifold

    def sample(
        self,
        start: Any,
        n_draws: int,
        *,
        random_state: int | torch.Generator | None = None,
        progress: bool = False,
    ) -> Samples:
        """Draw independent points from p_t(z_0, .), all walks as one batch.

        Args:
            start: z_0, shape `(*batch, d)`.
            n_draws: n, the draws from each start.
            random_state: see `Sampler.sample`.
            progress: show a bar.

        Returns:
            Draws, shape `(*batch, n, d)`, each with a status of its own.

        Raises:
            InvalidParameterError: `n_draws` or `random_state` is not as said.
            InvalidDataError: a start cannot be used, see `Sampler.sample`.
        """
        n = check_integer("n_draws", n_draws)
        z = check_points("start", start, self.manifold.dim)
        return self._draw(z, n, random_state, progress)

    def at(self, start: Any) -> "HeatKernelDraws":
        """Return the law p_t(z_0, .) from fixed starts, as an `IndependentSampler`.

        Args:
            start: z_0, shape `(*batch, d)`.

        Raises:
            InvalidDataError: a start is not finite or of another dimension.
        """
        return HeatKernelDraws(self, check_points("start", start, self.manifold.dim))

    def _draw(
        self, z: Tensor, n: int, random_state: int | torch.Generator | None, progress: bool
    ) -> Samples:
        starts = z.unsqueeze(-2).expand(*z.shape[:-1], n, z.shape[-1])
        walks = self._walk.sample(
            starts, self.n_substeps, random_state=random_state, progress=progress
        )
        return Samples(points=walks.last, status=walks.status)

    def log_density(self, point: Any, start: Any, **options: Any) -> Scalars:
        r"""Approximate log p_t(z_0, z) for short times, by the first term of the parametrix.

        log p = -d/2 log(2 pi t) - dist^2 / (2 t) - 1/2 log theta + O(t), where theta is the factor
        by which exp at z_0 stretches volume at log z, from the Jacobi fields along the geodesic:
        (sin r / r)^{d - 1} on the unit sphere. At z = z_0 the term left out is R t / 12 with the
        scalar curvature R: keep t far below 1 / |R|. It is the density of walks along the one
        shortest geodesic, so it is too low where several are nearly as short, and it is not
        normalised but up to O(t).

        Args:
            point: z, shape `(*batch, d)`.
            start: z_0, shape `(*batch, d)`; broadcast against z.
            options: those of `Manifold.geodesic`.

        Returns:
            Log-densities, shape `(*batch,)`: NaN, with a `ConvergenceWarning`, where no geodesic
            was found, and NaN where z is conjugate to z_0.

        Raises:
            InvalidDataError: points are not finite, or of shapes that do not fit.

        Source:
            Minakshisundaram and Pleijel, Some properties of the eigenfunctions of the
            Laplace-operator on Riemannian manifolds (1949).

        Example:
            >>> from pullback.metrics import PullbackMetric
            >>> flat = HeatKernel(Manifold(PullbackMetric(lambda z: z, dim=2)), time=0.5)
            >>> density = flat.log_density([1.0, 0.0], [0.0, 0.0])
            >>> round(density.item(), 6), round(-math.log(math.pi) - 1, 6)
            (-2.14473, -2.14473)
        """
        a, b = self._pair(start, point)
        v = self.manifold.log(a, b, **options)
        found = v.isfinite().all(-1)
        v = torch.where(found.unsqueeze(-1), v, 0)
        squared = self.manifold.inner_product(a, v, v)
        flat = -a.shape[-1] / 2 * math.log(2 * math.pi * self.time) - squared / (2 * self.time)
        return torch.where(found, flat - self._log_stretch(a, v) / 2, torch.nan)

    def _log_stretch(self, a: Tensor, v: Tensor) -> Tensor:
        """Compute log theta, of the determinant of d exp_a at v in units of volume at both ends."""
        trajectory = self.manifold.shoot(a, v)
        end = torch.where(trajectory.converged.unsqueeze(-1), trajectory.end, a)
        stretch: Tensor = torch.linalg.det(trajectory.differential())
        # Past a conjugate point the determinant is negative, and its logarithm NaN.
        return stretch.log() + self.manifold.log_volume(end) - self.manifold.log_volume(a)

    def _pair(self, start: Any, point: Any) -> tuple[Tensor, Tensor]:
        z = [
            check_points(name, value, self.manifold.dim)
            .detach()
            .to(dtype=self.manifold.dtype, device=self.manifold.device)
            for name, value in (("start", start), ("point", point))
        ]
        try:
            a, b = torch.broadcast_tensors(*z)
        except RuntimeError as error:
            raise InvalidDataError(
                f"`start` and `point` must have shapes that broadcast, but got "
                f"{tuple(z[0].shape)} and {tuple(z[1].shape)}."
            ) from error
        return a, b


class HeatKernelDraws(IndependentSampler):
    """The law p_t(z_0, .) of Brownian motion from fixed starts; see `HeatKernel.at`.

    Args:
        kernel: the heat kernel.
        start: z_0, shape `(*batch, d)`.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> draws = HeatKernel(Manifold(HalfPlane()), time=0.1).at([0.0, 1.0])
        >>> draws.sample(5, random_state=0).points.shape
        torch.Size([5, 2])
    """

    def __init__(self, kernel: HeatKernel, start: Latent) -> None:
        self.kernel, self.manifold = kernel, kernel.manifold
        self.start = start

    def draw(self, n: int, generator: torch.Generator) -> Samples:
        """Take n walks from each start to their ends, see `HeatKernel.sample`."""
        return self.kernel._draw(self.start, n, generator, progress=False)
