"""What draws independent points: one call, no chains and no burn-in."""

from abc import ABC, abstractmethod

import torch

from pullback.errors import check_integer
from pullback.manifolds import Manifold
from pullback.sampling.base import torch_generator
from pullback.sampling.samples import Samples

__all__ = ["IndependentSampler"]


class IndependentSampler(ABC):
    """A way to draw independent points on a manifold, beside the chains of `Sampler`.

    A subclass gives `draw`, and says by `manifold` where it draws. Checks, seeds and the rest of
    the contract of `sample` are written once, here: the same seed gives the same draws, and
    nothing else is a source of randomness.

    Attributes:
        manifold: where the points are drawn.

    Example:
        >>> from pullback.metrics import PullbackMetric
        >>> class Square(IndependentSampler):
        ...     def __init__(self, manifold):
        ...         self.manifold = manifold
        ...     def draw(self, n, generator):
        ...         z = torch.rand(n, 2, generator=generator, dtype=self.manifold.dtype)
        ...         return Samples(z, status=torch.zeros((), dtype=torch.long))
        >>> square = Square(Manifold(PullbackMetric(lambda z: z, dim=2)))
        >>> square.sample(5, random_state=0).points.shape
        torch.Size([5, 2])
    """

    manifold: Manifold

    def sample(self, n: int, *, random_state: int | torch.Generator | None = None) -> Samples:
        """Draw points.

        Args:
            n: how many.
            random_state: a seed, or a generator on the manifold's device; None for a seed from
                torch's global generator.

        Returns:
            Points `(*batch, n, d)`, with a status; what else is known of them is said by `draw`.

        Raises:
            InvalidParameterError: `n` or `random_state` is not as said.
            ConvergenceError: hardly any proposal was accepted.
        """
        n, generator = self._begin(n, random_state)
        with torch.no_grad():
            return self.draw(n, generator)

    @abstractmethod
    def draw(self, n: int, generator: torch.Generator) -> Samples:
        """Draw points, with no derivatives.

        Args:
            n: how many, at least 1.
            generator: the source of all randomness, on the manifold's device.

        Returns:
            Points `(*batch, n, d)`: finite, in the manifold's dtype and on its device. Where one
            could not be drawn its status says why. The log-density, if it is known, is with respect
            to the Riemannian volume.
        """

    def _begin(
        self, n: int, random_state: int | torch.Generator | None
    ) -> tuple[int, torch.Generator]:
        return check_integer("n", n), torch_generator(random_state, self.manifold.device)
