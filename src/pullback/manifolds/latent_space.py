"""The latent space of a decoder: its points, and the metric at each of them."""

import copy
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pullback.display import html_table, scattered, summary
from pullback.errors import InvalidParameterError, check_data, check_dtype, check_points
from pullback.exclusive import exclusive
from pullback.geodesics import LatentGraph, build_graph
from pullback.geodesics.search.graph import lattice_box
from pullback.manifolds.curvature.christoffels import Symbols, christoffels
from pullback.manifolds.curvature.curvature import RiemannTensor, ricci, riemann, scalar_curvature
from pullback.manifolds.curvature.sectional_curvature import (
    CurvatureEstimate,
    estimate_ricci,
    estimate_scalar_curvature,
    sectional_curvature,
)
from pullback.metrics import (
    AmbientMetric,
    Metric,
    PullbackMetric,
    metric_of,
    output_mean,
)
from pullback.metrics.tables.kept import kept_table
from pullback.models import VAE, EnsembleDecoder
from pullback.models.decoding.preparation import where_to_compute
from pullback.shapes import Latent, MetricMatrix, Scalars

__all__ = ["LatentSpace"]

_Space = TypeVar("_Space", bound="LatentSpace")

# Graphs that a manifold without data keeps, those made last; each takes about 1 MB. Of 1000 random
# pairs of a normal prior 75 boxes cover all, and a graph that was dropped is made again as it was.
_KEPT = 64


class LatentSpace:
    """A latent space and what can be said of it point by point: the base of `Manifold`.

    It holds the points' dtype, device and dimension, the metric, and graphs that searches start
    from. Its arguments, and what is raised, are those of `Manifold`.

    Example:
        >>> space = LatentSpace(lambda z: 3 * z, dim=2)
        >>> space.metric_matrix([1.0, 0.0]).tolist(), space.norm([1.0, 0.0], [0.0, 2.0]).item()
        ([[9.0, 0.0], [0.0, 9.0]], 6.0)
    """

    def __init__(
        self,
        decoder: VAE | nn.Module | Callable[[Tensor], Any] | Metric | Sequence[Any],
        *,
        metric: str | None = None,
        ambient: AmbientMetric | None = None,
        dim: int | None = None,
        data: Any = None,
        dtype: Any = torch.float64,
        device: str | torch.device | None = None,
        trainable: bool = False,
    ) -> None:
        dtype = check_dtype("dtype", dtype)
        source: Any = decoder.decoder if isinstance(decoder, VAE) else decoder
        if isinstance(source, list | tuple | nn.ModuleList):
            source = EnsembleDecoder(source)
        self.metric: Metric
        if isinstance(source, Metric):
            if None not in (dim, source.dim) and dim != source.dim:
                raise InvalidParameterError("dim", f"{source.dim}, the metric's own", dim)
            if metric is not None or ambient is not None:
                allowed = "None where a metric is given itself"
                name = "ambient" if metric is None else "metric"
                raise InvalidParameterError(name, allowed, metric or type(ambient).__name__)
            self.metric = source
        else:
            self.metric = metric_of(
                source,
                metric,
                ambient=ambient,
                dim=dim,
                dtype=dtype,
                device=device,
                trainable=trainable,
            )
        # No tensor, whose pickle is another one each time: scikit-learn compares them.
        self._where: dict[str, Any] = {"dtype": dtype, "device": where_to_compute(source, device)}
        self.dim = dim if self.metric.dim is None else self.metric.dim
        self.data = None
        if data is not None:
            self.data = check_data("data", data, dim=self.dim).detach().to(self._like)
        self._graphs: dict[bytes, LatentGraph] = {}

    @property
    def decoder(self) -> Callable[[Tensor], Any] | None:
        """What the metric is pulled back through, the manifold's own copy; None for a metric."""
        exact = self.metric.exact
        found: Callable[[Tensor], Any] | None = getattr(exact, "decoder", None)
        return found

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type that the manifold computes in."""
        dtype: torch.dtype = self._where["dtype"]
        return dtype

    @property
    def device(self) -> torch.device:
        """Where the manifold computes."""
        return self._like.device

    @property
    def _like(self) -> Tensor:
        return torch.zeros((), **self._where)

    @property
    def is_flat(self) -> bool:
        """Whether the metric is sure to be that of R^d in other coordinates.

        So it is where a decoder has no more outputs than latent dimensions, as a flow has, and its
        metric is the pull-back alone: nothing is curved, and a distance is that of the images.

        Example:
            >>> from pullback import Manifold
            >>> Manifold(torch.sinh, dim=2).is_flat, Manifold(torch.sinh, dim=2)
            (True, Manifold(builtin_function_or_method, dim=2, flat: no more outputs than ...))
        """
        exact = self.metric.exact
        if type(exact) is not PullbackMetric or self.dim is None:
            return False
        with torch.no_grad():
            image = exact.immersion(torch.zeros(1, self.dim, **self._where))
        return int(image.shape[-1]) <= self.dim

    def __repr__(self) -> str:
        source = self.metric if self.decoder is None else self.decoder
        note = ", flat: no more outputs than latent dimensions" if self.is_flat else ""
        return f"{type(self).__name__}({type(source).__name__}, dim={self.dim}{note})"

    def _repr_html_(self) -> str:
        shown = {
            "decoder": self.decoder,
            "metric": self.metric,
            "dim": self.dim,
            "data": self.data,
            "dtype": str(self.dtype),
            "device": str(self.device),
        }
        rows = [(name, summary(value).strip("'")) for name, value in shown.items()]
        if self.is_flat:
            rows.append(("flat", "no more outputs than latent dimensions: Euclidean in disguise"))
        return html_table(type(self).__name__, rows, after=scattered(self.data))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the graphs, which are made anew when they are asked for."""
        return vars(self) | {"_graphs": {}}

    def metric_matrix(self, point: Any) -> MetricMatrix:
        """Compute M(z).

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            The metric, shape `(*batch, d, d)`.

        Example:
            >>> LatentSpace(lambda z: 3 * z, dim=1).metric_matrix([0.0]).item()
            9.0
        """
        return self.metric.metric_matrix(self._points("point", point))

    def inner_product(self, point: Any, tangent_vector_a: Any, tangent_vector_b: Any) -> Scalars:
        """Compute <u, v>_z = u^T M(z) v.

        Args:
            point: z, shape `(*batch, d)`.
            tangent_vector_a: u, shape `(*batch, d)`.
            tangent_vector_b: v, shape `(*batch, d)`.

        Returns:
            Inner products, shape `(*batch,)`.

        Example:
            >>> LatentSpace(lambda z: 3 * z, dim=1).inner_product([0.0], [1.0], [2.0]).item()
            18.0
        """
        z, u, v = self._broadcast(
            point=point, tangent_vector_a=tangent_vector_a, tangent_vector_b=tangent_vector_b
        )
        return self.metric.inner_product(z, u, v)

    def norm(self, point: Any, tangent_vector: Any) -> Scalars:
        """Compute |v|_z = sqrt(v^T M(z) v).

        Args:
            point: z, shape `(*batch, d)`.
            tangent_vector: v, shape `(*batch, d)`.

        Returns:
            Norms, shape `(*batch,)`.

        Example:
            >>> LatentSpace(lambda z: 3 * z, dim=1).norm([0.0], [2.0]).item()
            6.0
        """
        z, v = self._broadcast(point=point, tangent_vector=tangent_vector)
        return self.metric.norm(z, v)

    def log_volume(self, point: Any) -> Scalars:
        """Compute log sqrt det M(z), the logarithm of the magnification factor.

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            Log-volumes, shape `(*batch,)`: -inf where the metric is singular.

        Example:
            >>> round(LatentSpace(lambda z: 3 * z, dim=2).log_volume([0.0, 0.0]).item(), 4)  # log 9
            2.1972
        """
        return self.metric.log_volume(self._points("point", point))

    def christoffels(self, point: Any) -> Symbols:
        """Compute the Christoffel symbols Gamma^k_ij, see `curvature.christoffels`.

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            Gamma^k_ij at entry (k, i, j), shape `(*batch, d, d, d)`: NaN where the metric is
            singular.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> M = LatentSpace(HalfPlane())
            >>> M.christoffels([0.0, 2.0])[0, 0, 1].item()  # -1 / y
            -0.5
        """
        return christoffels(self.metric, self._points("point", point))

    def riemann(self, point: Any) -> RiemannTensor:
        """Compute the Riemann tensor, all indices lowered, see `curvature.riemann`.

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            R_ijkl, with R(u, v, u, v) > 0 on a sphere, shape `(*batch, d, d, d, d)`: NaN where the
            metric is singular.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> R = LatentSpace(HalfPlane()).riemann([0.0, 2.0])
            >>> round(R[0, 1, 0, 1].item(), 6)  # K det M = -1 / y^4
            -0.0625
        """
        return riemann(self.metric, self._points("point", point))

    def ricci(self, point: Any) -> MetricMatrix:
        """Compute the Ricci tensor, see `curvature.ricci`.

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            Ric_jl, shape `(*batch, d, d)`: NaN where the metric is singular.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> LatentSpace(HalfPlane()).ricci([0.0, 2.0]).diagonal().round(decimals=6)  # K M
            tensor([-0.2500, -0.2500], dtype=torch.float64)
        """
        return ricci(self.metric, self._points("point", point))

    def scalar_curvature(self, point: Any) -> Scalars:
        """Compute the scalar curvature, for d = 2 twice the Gaussian curvature.

        See `curvature.scalar_curvature`.

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            Curvatures, in 1 / length^2, shape `(*batch,)`: NaN where the metric is singular.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> round(LatentSpace(HalfPlane()).scalar_curvature([0.0, 2.0]).item(), 6)
            -2.0
        """
        return scalar_curvature(self.metric, self._points("point", point))

    def sectional_curvature(
        self, point: Any, tangent_vector_a: Any, tangent_vector_b: Any
    ) -> Scalars:
        """Compute the curvature of planes, see `curvature.sectional_curvature`.

        Args:
            point: z, shape `(*batch, d)`, d >= 2.
            tangent_vector_a: u, shape `(*batch, d)`.
            tangent_vector_b: v, shape `(*batch, d)`.

        Returns:
            Curvatures, in 1 / length^2, shape `(*batch,)`: NaN where the metric is singular, or u
            and v are parallel.

        Raises:
            InvalidParameterError: there is no plane in one dimension.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> M = LatentSpace(HalfPlane())
            >>> round(M.sectional_curvature([0.0, 2.0], [1.0, 0.0], [1.0, 1.0]).item(), 6)
            -1.0
        """
        z, u, v = self._broadcast(
            point=point, tangent_vector_a=tangent_vector_a, tangent_vector_b=tangent_vector_b
        )
        return sectional_curvature(self.metric, z, u, v)

    def estimate_scalar_curvature(
        self, point: Any, *, n_planes: int = 64, generator: torch.Generator | None = None
    ) -> CurvatureEstimate:
        """Estimate the scalar curvature in many dimensions by planes at random.

        See `curvature.estimate_scalar_curvature`.

        Args:
            point: z, shape `(*batch, d)`, d >= 2.
            n_planes: planes at each point, 2 or more.
            generator: draws the planes; PyTorch's own if None.

        Returns:
            The estimate and its standard error, each of shape `(*batch,)`.

        Raises:
            InvalidParameterError: there is no plane in one dimension, or too few are asked for.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> M = LatentSpace(HalfPlane())
            >>> round(M.estimate_scalar_curvature([0.0, 2.0], n_planes=2).value.item(), 6)
            -2.0
        """
        z = self._points("point", point)
        return estimate_scalar_curvature(self.metric, z, n_planes=n_planes, generator=generator)

    def estimate_ricci(
        self,
        point: Any,
        tangent_vector: Any,
        *,
        n_planes: int = 64,
        generator: torch.Generator | None = None,
    ) -> CurvatureEstimate:
        """Estimate Ric(u, u) in many dimensions by planes at random through u.

        See `curvature.estimate_ricci`.

        Args:
            point: z, shape `(*batch, d)`, d >= 2.
            tangent_vector: u, shape `(*batch, d)`.
            n_planes: planes through each vector, 2 or more.
            generator: draws the planes; PyTorch's own if None.

        Returns:
            The estimate and its standard error, each of shape `(*batch,)`.

        Raises:
            InvalidParameterError: there is no plane in one dimension, or too few are asked for.

        Example:
            >>> from pullback.manifolds.reference import HalfPlane
            >>> M = LatentSpace(HalfPlane())
            >>> round(M.estimate_ricci([0.0, 2.0], [2.0, 0.0], n_planes=2).value.item(), 6)
            -1.0
        """
        z, u = self._broadcast(point=point, tangent_vector=tangent_vector)
        return estimate_ricci(self.metric, z, u, n_planes=n_planes, generator=generator)

    def tabulated(
        self: _Space,
        data: Any = None,
        *,
        rtol: float = 3e-3,
        margin: float = 0.2,
        folder: str | os.PathLike[str] | None = None,
    ) -> _Space:
        """Return the same manifold over a table of its metric, a hundred times faster (d <= 3).

        Geodesics are searched on the table; their lengths and energies are measured again on the
        decoder itself. See `TabulatedMetric`.

        Args:
            data: points to cover, shape `(n, d)`; the manifold's own data if None.
            rtol: the relative error of the metric that 95 % of the domain must keep to.
            margin: how far the table reaches beyond the points, as a share of their extent.
            folder: where the table is kept, such as the folder of the model: it is read from there
                if it fits, and made and saved if there is none.

        Returns:
            A manifold whose `metric` is a `TabulatedMetric`.

        Raises:
            InvalidParameterError: d > 3, or there are no points to cover.
            InvalidDataError: the metric is singular somewhere on the table.
            StorageError: the folder holds a damaged table, or one of another model.

        Example:
            >>> table = LatentSpace(lambda z: 3 * z, dim=1).tabulated([[0.0], [1.0]])
            >>> table.metric.is_cheap, round(table.metric_matrix([0.5]).item(), 6)
            (True, 9.0)
        """
        if data is None and self.data is None:
            allowed = "given where the manifold was made without data"
            raise InvalidParameterError("data", allowed, None)
        codes = self.data if data is None else check_data("data", data, dim=self.dim)
        assert codes is not None
        codes = codes.detach().to(self._like)
        exact, device = self.metric.exact, self.device
        table = kept_table(exact, codes, folder, rtol=rtol, margin=margin, device=device)
        fast = copy.copy(self)
        fast.metric, fast.dim, fast._graphs = table, table.dim, {}
        fast.data = codes if self.data is None else self.data
        return fast

    def decode(self, point: Any) -> Tensor:
        """Decode points to the mean of p(x|z), event dimensions flattened.

        Args:
            point: z, shape `(*batch, d)`.

        Returns:
            Observations, shape `(*batch, D)`.

        Raises:
            InvalidParameterError: the manifold was made from a metric and has no decoder.

        Example:
            >>> LatentSpace(lambda z: 3 * z, dim=2).decode([1.0, 2.0]).tolist()
            [3.0, 6.0]
        """
        if self.decoder is None:
            raise InvalidParameterError(
                "decoder", "given to decode points", "a manifold made from a metric"
            )
        z = self._points("point", point)
        with exclusive(), torch.no_grad():
            mean = output_mean(self.decoder(z.reshape(-1, z.shape[-1])))
        rows = mean.flatten(1)
        return rows.reshape(*z.shape[:-1], rows.shape[-1])

    def graph_over(self, points: Latent) -> LatentGraph | None:
        """Return the graph that searches between points start from; it is made once and kept.

        It depends on the data alone, or without data on a box of a lattice around the points, which
        many questions share: never on what was asked before.

        Args:
            points: the end points, shape `(*batch, d)`.

        Returns:
            The graph over the data, or over a grid around the points; None if there are no data and
            d > 2.

        Example:
            >>> graph = LatentSpace(lambda z: 3 * z, dim=1).graph_over(torch.tensor([[0.0], [1.0]]))
            >>> graph.covers(torch.tensor([[0.5]]))
            True
        """
        if self.data is None and points.shape[-1] > 2:
            return None
        nodes = self.data
        if nodes is None:
            nodes = lattice_box(points.detach().reshape(-1, points.shape[-1]))
        with exclusive():  # two threads shall not make the same one
            return self._graph_on(nodes)

    def _graph_on(self, nodes: Tensor) -> LatentGraph:
        key = b"data" if nodes is self.data else nodes.cpu().numpy().tobytes()
        if key not in self._graphs:
            while len(self._graphs) >= _KEPT:
                del self._graphs[next(iter(self._graphs))]
            self._graphs[key] = build_graph(self.metric, nodes)
        return self._graphs[key]

    def _points(self, name: str, points: Any) -> Tensor:
        return check_points(name, points, self.dim).to(**self._where)

    def _broadcast(self, **points: Any) -> list[Tensor]:
        tensors = [self._points(name, value) for name, value in points.items()]
        try:
            return list(torch.broadcast_tensors(*tensors))
        except RuntimeError as error:
            shapes = ", ".join(
                f"`{n}` {tuple(t.shape)}" for n, t in zip(points, tensors, strict=True)
            )
            raise InvalidParameterError(
                next(iter(points)), "of a shape that broadcasts with the others", shapes
            ) from error
