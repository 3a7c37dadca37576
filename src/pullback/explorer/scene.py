"""What is explored: a latent space, the codes that lie in it, and what is known of each sample."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback.errors import InvalidDataError, InvalidParameterError, check_data
from pullback.explorer.planes import PRINCIPAL, ShownPlane, plane_of_axes, principal_plane
from pullback.manifolds import Manifold
from pullback.metrics import TabulatedMetric
from pullback.plots.maps.latent_map import is_continuous
from pullback.runs import Run, RunFolder
from pullback.runs.run import manifold_over
from pullback.shapes import Codes, Latent

__all__ = ["Column", "Scene", "scene_of"]

# How far one can go beyond the codes where there is no table, as a share of their largest extent:
# as far as tables of runs reach.
_MARGIN = 0.5
# The most features that are offered as columns. Set by judgement: a longer list cannot be chosen
# from, and what changes most along a path is shown beside it.
_MOST_FEATURES = 200


@dataclass(frozen=True, eq=False)
class Column:
    """One thing that is known of every sample.

    Attributes:
        name: what it is called.
        values: a number for each sample, or the place of its label, `(n,)`.
        labels: the different labels, empty for numbers.

    Example:
        >>> column = Column.of("digit", ["7", "1", "7"])
        >>> column.kind, column.labels, column.values.tolist()
        ('category', ('1', '7'), [1, 0, 1])
    """

    name: str
    values: NDArray[Any]
    labels: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """`"category"` for labels, `"number"` for numbers."""
        return "category" if self.labels else "number"

    @classmethod
    def of(cls, name: str, values: Any) -> "Column":
        """Make a column of values: numbers stay numbers unless they are few and whole.

        Args:
            name: what it is called.
            values: a value for each sample, `(n,)`.
        """
        array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
        if array.ndim != 1:
            raise InvalidDataError(
                f"The column {name!r} must hold one value for each sample, but has shape "
                f"{array.shape}."
            )
        if is_continuous(array):
            return cls(name, array.astype(np.float64))
        names, places = np.unique(array.astype(np.str_), return_inverse=True)
        return cls(name, places.astype(np.int64), tuple(names.tolist()))

    def at(self, index: int) -> Any:
        """Return the label or the number of one sample, None for a gap."""
        value = self.values[index]
        if self.labels:
            return self.labels[value]
        return float(value) if np.isfinite(value) else None

    def numbers(self) -> list[Any]:
        """Return the values as JSON can hold them."""
        return [v if np.isfinite(v) else None for v in self.values.tolist()]


@dataclass(frozen=True, eq=False)
class Scene:
    """A latent space to be explored, with its samples.

    Attributes:
        title: what stands above it.
        manifold: the latent space, over a table of its metric where one will do.
        Z: the codes, shape `(n, d)`, d >= 2.
        X: the samples as the model takes them, `(n, D)`, or None.
        columns: what is known of them, labels first.
        image_shape: (height, width) if a sample is an image, or None.
        feature_names: the names of the features, or None.
        center: what was subtracted from each feature of the data as read, `(D,)`, or 0.
        scale: what each was divided by, `(D,)`, or 1.
        setup: lines of Python that make the manifold `M` again.

    Raises:
        InvalidParameterError: the latent space has one dimension.
        InvalidDataError: the codes are none, or a column is not as long as they are.

    Example:
        >>> scene = Scene("flat", Manifold(lambda z: 2 * z, dim=2), torch.eye(2).double())
        >>> scene.box.tolist(), scene.has_table
        ([[-0.5, -0.5], [1.5, 1.5]], False)
    """

    title: str
    manifold: Manifold
    Z: Codes
    X: NDArray[Any] | None = None
    columns: tuple[Column, ...] = ()
    image_shape: tuple[int, int] | None = None
    feature_names: tuple[str, ...] | None = None
    center: Any = 0.0
    scale: Any = 1.0
    setup: str = "M = ...  # the manifold that was explored"

    def __post_init__(self) -> None:
        if self.d < 2:
            cure = "On a line there is one way only."
            raise InvalidParameterError("latent_dim", "2 or more to be explored", self.d, cure)
        for column in self.columns:
            if len(column.values) != len(self.Z):
                raise InvalidDataError(
                    f"The column {column.name!r} has {len(column.values)} values for "
                    f"{len(self.Z)} samples."
                )

    @classmethod
    def of_run(cls, run: Run) -> "Scene":
        """Return the scene of a trained run, with the table that it keeps.

        Args:
            run: the run.
        """
        data = run.data
        columns = [] if data.y is None else [Column.of(run.settings.label or "label", data.y)]
        columns.append(Column.of("part", np.where(data.test, "held-out", "training")))
        names = tuple(map(str, data.feature_names))
        if run.image_shape is None:
            columns += _features(data.X * data.scale + data.center, names, columns)
        path = run.folder.path
        setup = "from pullback.runs import Run, RunFolder\n\n"
        setup += f"M = Run(RunFolder({str(path)!r})).manifold"
        return cls(
            title=path.resolve().name,
            manifold=run.manifold,
            Z=run.encode(data.X),
            X=data.X,
            columns=tuple(columns),
            image_shape=run.image_shape,
            feature_names=None if run.image_shape else names,
            center=data.center,
            scale=data.scale,
            setup=setup,
        )

    @classmethod
    def of_model(
        cls,
        model: Any,
        X: Any,
        y: Any = None,
        *,
        columns: Mapping[str, Any] | None = None,
        image_shape: Sequence[int] | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> "Scene":
        """Return the scene of a model with an encoder, or of a manifold and codes in it.

        Args:
            model: a `VAE`, or a `Manifold`.
            X: the samples, `(n, D)`, which the model encodes; of a manifold the codes, `(n, d)`.
            y: their labels, `(n,)`, or None.
            columns: more that is known of them, each `(n,)`, by name.
            image_shape: (height, width) if a sample is an image.
            feature_names: the names of the D features.
        """
        known = {} if y is None else {"label": y}
        made = [Column.of(name, values) for name, values in {**known, **(columns or {})}.items()]
        shape = None if image_shape is None else (int(image_shape[0]), int(image_shape[1]))
        names = None if feature_names is None else tuple(map(str, feature_names))
        if isinstance(model, Manifold):
            codes = check_data("X", X, dim=model.dim, min_samples=1).detach()
            codes = codes.to(device=model.device, dtype=model.dtype)
            return cls("latent space", model, codes, None, tuple(made), shape, names)
        if not hasattr(model, "encode"):
            allowed = "a `VAE`, a `Manifold`, or the folder of a run"
            raise InvalidParameterError("model", allowed, type(model).__name__)
        samples = check_data("X", X, min_samples=1).detach().cpu().numpy().astype(np.float32)
        with torch.no_grad():
            Z = model.encode(samples).double()
        if shape is None:
            given = names or tuple(f"x{k + 1}" for k in range(samples.shape[1]))
            made += _features(samples, given, made)
        manifold = manifold_over(model, Z, Z[:0], seed=0)
        setup = "import pullback as pb\n\nM = pb.Manifold(model).tabulated(model.encode(X))"
        title = type(model).__name__
        return cls(title, manifold, Z, samples, tuple(made), shape, names, setup=setup)

    @property
    def n(self) -> int:
        """The number of samples."""
        return len(self.Z)

    @property
    def d(self) -> int:
        """The latent dimension."""
        return int(self.Z.shape[1])

    @property
    def has_table(self) -> bool:
        """Whether the metric is read off a table."""
        return isinstance(self.manifold.metric, TabulatedMetric)

    @property
    def has_fields(self) -> bool:
        """Whether distances can be read off fields: over a table, by compiled kernels."""
        return self.has_table and importlib.util.find_spec("numba") is not None

    @cached_property
    def box(self) -> Tensor:
        """The lowest and the highest corner of where points may be, shape `(2, d)`."""
        metric = self.manifold.metric
        if isinstance(metric, TabulatedMetric):
            return torch.stack([metric.low, metric.high]).double().cpu()
        low, high = self.Z.amin(0), self.Z.amax(0)
        width = (_MARGIN * (high - low).amax()).clamp(min=1e-6)
        return torch.stack([low - width, high + width]).double().cpu()

    @cached_property
    def middle(self) -> Latent:
        """The mean of the codes: what a point of a shown plane has along the other axes."""
        return self.Z.mean(0).double().cpu()

    @cached_property
    def pixels(self) -> tuple[float, float]:
        """What of the data as read is drawn black and white, if samples are images."""
        if self.X is None:
            return 0.0, 1.0
        ends = np.stack([self.X.min(0), self.X.max(0)]) * self.scale + self.center
        low, high = float(ends.min()), float(ends.max())
        return (low, high) if high > low else (low, low + 1)

    def prepare(self) -> None:
        """Find a geodesic and a coarse field: what is compiled is there before a hand drags."""
        self.manifold.geodesic(self.Z[0], self.Z[-1])
        metric, first = self.manifold.metric, self.Z[0]
        if self.has_fields and isinstance(metric, TabulatedMetric) and bool(metric.covers(first)):
            self.manifold.dist_field(first, resolution=8)

    @cached_property
    def principal(self) -> ShownPlane:
        """The plane of the principal geodesics of the codes, searched when it is asked for first.

        Raises:
            PullbackError: there is none; the message says why.
        """
        return principal_plane(self.manifold, self.Z, self.box)

    @property
    def knows_principal(self) -> bool:
        """Whether `principal` was asked for, and found."""
        return "principal" in self.__dict__

    def plane(self, axes: tuple[int, int] | str) -> ShownPlane:
        """Return the plane of two axes through the mean of the codes, or the principal one.

        Args:
            axes: the two axes, or `PRINCIPAL`.
        """
        if isinstance(axes, str):
            assert axes == PRINCIPAL
            return self.principal
        return plane_of_axes(axes, self.middle, self.box)

    def lift(self, point: Sequence[float], axes: tuple[int, int] | str) -> Tensor:
        """Return a point of the shown plane, or one of the space itself, with all d coordinates."""
        given = torch.tensor(point, dtype=torch.float64)
        return given if len(point) == self.d else self.plane(axes).lift(given)

    def decode(self, z: Tensor) -> NDArray[np.float64]:
        """Decode points `(k, d)` to rows in the unit of the data as read, `(k, D)`."""
        rows = self.manifold.decode(z).double().cpu().numpy()
        decoded: NDArray[np.float64] = rows * self.scale + self.center
        return decoded


def scene_of(model: Any, X: Any = None, y: Any = None, **known: Any) -> Scene:
    """Return the scene of a model and data, or of a run, which needs nothing else.

    Args:
        model: a `VAE`, a `Manifold`, a `Run`, or the folder of one.
        X: the samples, `(n, D)`; of a manifold the codes, `(n, d)`.
        y: their labels, `(n,)`.
        known: what else is known of the samples, see `Scene.of_model`.

    Raises:
        InvalidParameterError: nothing can be explored of what was given.

    Example:
        >>> flat = Manifold(lambda z: 2 * z, dim=2)
        >>> scene_of(flat, [[0.0, 0.0], [1.0, 1.0]], ["a", "b"]).columns[0].labels
        ('a', 'b')
    """
    if isinstance(model, str | Path):
        model = Run(RunFolder(model))
    if isinstance(model, Run):
        return Scene.of_run(model)
    if X is None:
        raise InvalidParameterError("X", "given, unless a run is explored", None)
    return Scene.of_model(model, X, y, **known)


def _features(X: NDArray[Any], names: Sequence[str], columns: Sequence[Column]) -> list[Column]:
    """Return a column for each feature of a table, unless they are too many."""
    if len(names) > _MOST_FEATURES:
        return []
    taken = {column.name for column in columns}
    free = [f"feature {name}" if name in taken else name for name in names]
    return [Column(name, X[:, k].astype(np.float64)) for k, name in enumerate(free)]
