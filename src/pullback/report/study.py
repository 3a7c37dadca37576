"""What a report measures on: the models of a run, held-out codes, and geodesics between them."""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pullback.geodesics import GeodesicResult
from pullback.models import VAE, load
from pullback.runs import Run, RunFolder, Stream, draw_pairs
from pullback.runs.training import with_constant_std

__all__ = ["Study"]

# Pairs that are solved first, and the work that all pairs may take, in steps of the solver times
# segments of the curves. It is counted and not timed, so that a run is the same on every machine.
# Of digits a pair took 170 to 600 on a trained model, and 12,000 after two epochs, where a million
# of these took 70 s of one core.
_PILOT, _WORK = 10, 1_000_000


class Study(Run):
    """A run with both its models, and what more than one chapter needs of them.

    Everything is computed when it is first asked for, and kept.

    Args:
        folder: a run whose models are trained.
        n_points: most held-out samples that are measured.
        n_pairs: most pairs of them that exact geodesics are computed for.

    Attributes:
        network: the model with a variance network; None if its likelihood has no variance of its
            own.
        planned: these pairs, in random order, `(n, 2)`.

    Raises:
        InvalidParameterError: the folder holds no run.
        StorageError: a file of it is missing or damaged.

    Example:
        >>> Study(RunFolder("nowhere"))
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `DIR` must be a folder that ...
    """

    def __init__(self, folder: RunFolder, *, n_points: int = 300, n_pairs: int = 100) -> None:
        super().__init__(folder)
        self.network = self._load_network()
        generator = Stream.SAMPLES.generator(self.seed)
        n_test = len(self.data.X_test)
        self._chosen = np.sort(generator.permutation(n_test)[:n_points])
        self.planned = draw_pairs(len(self._chosen), n_pairs, generator)

    @property
    def X(self) -> Tensor:
        """The held-out samples that are measured, `(n, D)`."""
        return torch.as_tensor(self.data.X_test[self._chosen]).to(self.vae.like)

    @property
    def y(self) -> NDArray[Any] | None:
        """Their labels, `(n,)`, or None."""
        return None if self.data.y_test is None else self.data.y_test[self._chosen]

    @property
    def classes(self) -> list[Any]:
        """The different labels among them, in order; empty without labels."""
        return [] if self.y is None else np.unique(self.y).tolist()

    @cached_property
    def why_no_classes(self) -> str:
        """Why distances cannot be compared with labels; empty if they can."""
        if self.y is None:
            return "There are no labels"
        if len(self.classes) < 2:
            return "All labels are the same"
        if len(self.classes) == len(self.y):
            return "No class has two held-out samples"
        if not np.isfinite(self.distances).all():
            return "The graph over the codes falls into parts that no edge joins"
        return ""

    @cached_property
    def Z(self) -> Tensor:
        """The codes of the held-out samples, float64 `(n, d)`."""
        return self.encode(self.data.X_test[self._chosen])

    def _load_network(self) -> VAE | None:
        if not self.settings.has_std:
            return None
        return load(self.folder.network_model, device=self.settings.device)

    @property
    def why_no_std(self) -> str:
        """Why standard deviations cannot be compared; empty if they can."""
        name = self.settings.likelihood.replace("_", " ")
        return "" if self.network else f"The {name} likelihood has no standard deviation to choose"

    @cached_property
    def decoders(self) -> dict[str, nn.Module]:
        """The decoders with constant, network and RBF standard deviation, all of one mean."""
        assert self.network is not None
        X_train = torch.as_tensor(self.data.X_train).to(self.vae.like)
        constant = with_constant_std(self.vae, X_train)
        return {"constant": constant, "network": self.network.decoder, "RBF": self.vae.decoder}

    @property
    def pairs(self) -> NDArray[np.int64]:
        """The pairs that geodesics are computed for, `(n_pairs, 2)`: of those planned.

        A model that was hardly trained may make the solver a hundred times slower.
        """
        return self._solved[0]

    @property
    def paths(self) -> GeodesicResult:
        """The geodesics between the pairs."""
        return self._solved[1]

    @cached_property
    def _solved(self) -> tuple[NDArray[np.int64], GeodesicResult]:
        pairs = self.planned[:_PILOT]
        result = self._connect(pairs)
        work = int((result.n_steps * result.n_segments).sum())
        affordable = self.planned[: _WORK * len(pairs) // max(work, 1)]
        if len(affordable) <= len(pairs):
            return pairs, result
        return affordable, self._connect(affordable)

    def _connect(self, pairs: NDArray[np.int64]) -> GeodesicResult:
        return self.manifold.geodesic(self.Z[pairs[:, 0]], self.Z[pairs[:, 1]])

    @property
    def found(self) -> NDArray[np.bool_]:
        """For which pairs a geodesic was found between two different points, `(n_pairs,)`."""
        found: NDArray[np.bool_] = (self.paths.converged & (self.paths.length > 0)).cpu().numpy()
        return found

    @cached_property
    def distances(self) -> NDArray[Any]:
        """Geodesic distances between all held-out points along the graph, `(n, n)`, symmetric."""
        distances: NDArray[Any] = self.manifold.pairwise_dist(self.Z, method="graph").cpu().numpy()
        return distances

    @cached_property
    def straight_distances(self) -> NDArray[Any]:
        """Euclidean distances between all held-out codes, `(n, n)`."""
        return torch.cdist(self.Z, self.Z).cpu().numpy()

    @torch.no_grad()
    def images_along(self, curves: Tensor) -> Tensor:
        """Decode points along curves `(k, d)` to their mean images `(k, D)`."""
        return self.manifold.decode(curves)
