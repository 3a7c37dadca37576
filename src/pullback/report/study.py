"""What a report measures on: the models of a run, held-out codes, and geodesics between them."""

import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pullback.errors import ConvergenceWarning, InvalidDataError, StorageError
from pullback.exclusive import exclusive
from pullback.files import check_writable
from pullback.geodesics import GeodesicResult
from pullback.manifolds import Manifold
from pullback.metrics import TabulatedMetric
from pullback.models import VAE, load
from pullback.runs.folder import RunFolder
from pullback.runs.training import with_constant_std
from pullback.shapes import Codes, Nodes

__all__ = ["Study", "manifold_over"]

_MOST_NODES = 2000  # training codes that the graph of distances runs through
_MARGIN = 0.5  # of the table beyond the codes: draws and walks go further than they
# Pairs that are solved first, and the work that all pairs may take, in steps of the solver times
# segments of the curves. It is counted and not timed, so that a run is the same on every machine.
# Of digits a pair took 170 to 600 on a trained model, and 12,000 after two epochs, where a million
# of these took 70 s of one core.
_PILOT, _WORK = 10, 1_000_000


class Study:
    """The models and data of a run, and what more than one chapter needs of them.

    Everything is computed when it is first asked for, and kept.

    Args:
        folder: a run whose models are trained.
        n_points: most held-out samples that are measured.
        n_pairs: most pairs of them that exact geodesics are computed for.

    Attributes:
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
        self._folder = folder
        self.settings = folder.settings()
        self.data = folder.data()
        self.vae = load(folder.model, device=self.settings.device)
        self.network = load(folder.network_model, device=self.settings.device)
        rng = np.random.default_rng([self.settings.seed, 1])
        n_test = len(self.data.X_test)
        self._chosen = np.sort(rng.permutation(n_test)[:n_points])
        self.planned = _draw_pairs(len(self._chosen), n_pairs, rng)

    @property
    def seed(self) -> int:
        """The seed of everything random."""
        return self.settings.seed

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

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """(height, width) if a sample is an image, or None."""
        return self.settings.image_shape

    @property
    def is_plane(self) -> bool:
        """Whether maps of the latent space can be drawn."""
        return self.vae.latent_dim == 2

    @cached_property
    @torch.no_grad()
    def Z(self) -> Tensor:
        """The codes of the held-out samples, float64 `(n, d)`."""
        return self.vae.encode(self.X).double()

    @property
    @torch.no_grad()
    def Z_test(self) -> Tensor:
        """The codes of all held-out samples, float64 `(n_test, d)`."""
        return self.vae.encode(self.data.X_test).double()

    @cached_property
    @torch.no_grad()
    def Z_train(self) -> Tensor:
        """The codes of the training samples, float64 `(n_train, d)`."""
        return self.vae.encode(self.data.X_train).double()

    @cached_property
    def decoders(self) -> dict[str, nn.Module]:
        """The decoders with constant, network and RBF standard deviation, all of one mean."""
        X_train = torch.as_tensor(self.data.X_train).to(self.vae.like)
        constant = with_constant_std(self.vae, X_train)
        return {"constant": constant, "network": self.network.decoder, "RBF": self.vae.decoder}

    @cached_property
    def manifold(self) -> Manifold:
        """The latent space with the metric of the RBF decoder, over a table where one will do."""
        table = self._folder.table
        return manifold_over(self.vae, self.Z_train, self.Z_test, seed=self.seed, folder=table)

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


def manifold_over(
    vae: VAE, Z_train: Codes, Z_test: Nodes, *, seed: int, folder: Path | None = None
) -> Manifold:
    """Return the latent space of a model, over a table of its metric where one will do.

    Args:
        vae: the model.
        Z_train: codes of training data, shape `(n_train, d)`: a graph over some of them helps the
            search for geodesics.
        Z_test: all codes of held-out data, shape `(n_test, d)`, that the table covers too: so it is
            the same one whoever asks first.
        seed: which of the codes.
        folder: where the table is kept, see `Manifold.tabulated`.

    Returns:
        The manifold; over a table if d <= 3 and the metric is smooth and regular enough.

    Example:
        >>> vae = VAE(data_dim=3, latent_dim=2, std="constant").eval()
        >>> Z = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)).double()
        >>> manifold_over(vae, Z, Z, seed=0).dim
        2
    """
    if folder is not None and not TabulatedMetric.is_saved(folder) and not _is_writable(folder):
        folder = None  # of a run that can only be read: the table is made anew each time
    order = np.random.default_rng([seed, 2]).permutation(len(Z_train))
    exact = Manifold(vae, data=Z_train[order[:_MOST_NODES].tolist()])
    if vae.latent_dim > 3:
        return exact
    with exclusive(), warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            codes = torch.cat([Z_train, Z_test])
            return exact.tabulated(codes, margin=_MARGIN, folder=folder)
        except (ConvergenceWarning, InvalidDataError):  # too steep for a table, or singular
            return exact


def _is_writable(folder: Path) -> bool:
    try:
        check_writable(folder / "table.json")
    except StorageError:
        return False
    return True


def _draw_pairs(n: int, n_pairs: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw different pairs i < j, in random order."""
    first, second = np.triu_indices(n, 1)
    chosen = rng.permutation(len(first))[:n_pairs]
    return np.stack([first[chosen], second[chosen]], 1)
