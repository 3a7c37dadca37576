"""A trained run, read back: its data, its model, and the latent space that both give."""

import warnings
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback.errors import ConvergenceWarning, InvalidDataError, StorageError
from pullback.exclusive import exclusive
from pullback.files import check_writable
from pullback.manifolds import Manifold
from pullback.metrics import TabulatedMetric
from pullback.models import VAE, load
from pullback.runs.folder import RunFolder
from pullback.runs.streams import Stream
from pullback.shapes import Codes, Nodes

__all__ = ["Run", "draw_pairs", "manifold_over"]

# The most training codes that the graph of distances runs through. Set by judgement: more see finer
# ways round walls, and take longer.
_MOST_NODES = 2000
# How far the table of the metric reaches beyond the codes, as a share of their extent: random draws
# and walks leave the codes, and beyond the table each point takes the decoder.
_MARGIN = 0.5


class Run:
    """A trained run: what a report of it and an analysis of it have in common.

    The latent space and the codes are computed when they are first asked for, and kept.

    Args:
        folder: the folder of the run.
        seed: seed of everything random; that of the run if None.

    Attributes:
        folder: as given.
        settings: what the run was asked for, see `Settings`.
        data: its data, see `RunData`.
        vae: its model, with the RBF precision.
        seed: the seed of everything random.

    Raises:
        InvalidParameterError: the folder holds no run whose training has ended.
        DeviceError: the device that it was trained on is not on this machine.
        StorageError: a file of it is missing or damaged.

    Example:
        >>> Run(RunFolder("nowhere"))
        Traceback (most recent call last):
        pullback.errors.InvalidParameterError: `DIR` must be a folder that ...
    """

    def __init__(self, folder: RunFolder, *, seed: int | None = None) -> None:
        self.folder = folder
        self.settings = folder.trained_settings()
        self.data = folder.data()
        self.vae = load(folder.model, device=self.settings.device)
        self.seed = self.settings.seed if seed is None else seed

    @property
    def is_plane(self) -> bool:
        """Whether maps of the latent space can be drawn."""
        return self.vae.latent_dim == 2

    @property
    def image_shape(self) -> tuple[int, int] | None:
        """(height, width) if a sample is an image, or None."""
        return self.settings.image_shape

    @torch.no_grad()
    def encode(self, X: NDArray[np.float32]) -> Tensor:
        """Return the codes of samples `(n, D)`, float64 `(n, d)`."""
        return self.vae.encode(X).double()

    @cached_property
    def Z_train(self) -> Tensor:
        """The codes of all training samples, float64 `(n_train, d)`."""
        return self.encode(self.data.X_train)

    @cached_property
    def Z_test(self) -> Tensor:
        """The codes of all held-out samples, float64 `(n_test, d)`."""
        return self.encode(self.data.X_test)

    @cached_property
    def manifold(self) -> Manifold:
        """The latent space with the metric of the model, over a table where one will do."""
        table = self.folder.table
        return manifold_over(self.vae, self.Z_train, self.Z_test, seed=self.seed, folder=table)


def manifold_over(
    vae: VAE, Z_train: Codes, Z_test: Nodes, *, seed: int, folder: Path | None = None
) -> Manifold:
    """Return the latent space of a model, over a table of its metric where one will do.

    Args:
        vae: the model.
        Z_train: codes of training data, shape `(n_train, d)`: a graph over some of them helps the
            search for geodesics.
        Z_test: all codes of held-out data, shape `(n_test, d)`. The table covers all of them,
            however many are measured, so that report and analyses share the one that is kept.
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
    order = Stream.GRAPH.generator(seed).permutation(len(Z_train))
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


def draw_pairs(n: int, n_pairs: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw different pairs i < j of n samples, at random and in random order.

    Args:
        n: the number of samples.
        n_pairs: most pairs; there are n (n - 1) / 2 in all.
        generator: where the random numbers come from.

    Returns:
        The pairs, shape `(min(n_pairs, n (n - 1) / 2), 2)`.

    Example:
        >>> draw_pairs(2, 5, np.random.default_rng(0)).tolist()
        [[0, 1]]
    """
    first, second = np.triu_indices(n, 1)
    chosen = generator.permutation(len(first))[:n_pairs]
    return np.stack([first[chosen], second[chosen]], 1)


def _is_writable(folder: Path) -> bool:
    try:
        check_writable(folder / "table.json")
    except StorageError:
        return False
    return True
