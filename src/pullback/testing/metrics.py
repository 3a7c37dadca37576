"""Laws that every Riemannian metric obeys, to hold a new one against."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pullback.autodiff import jvp
from pullback.errors import InvalidDataError, check_data, check_number
from pullback.metrics import Metric
from pullback.shapes import Codes
from pullback.testing.chords import (
    check_chord_expansions,
    check_chord_gradients,
    check_chords,
)
from pullback.testing.problems import in_other_coordinates, to_other_coordinates
from pullback.testing.trials import SAME, MetricTrial, agree, difference, hold, size, unit, within

__all__ = ["check_metric"]

# What computing in single precision may change, as a share of the largest entry.
_SINGLE = 1e-3
# A derivative of M that is smaller than this share of M may be off by as much as `rtol` of that
# share: differences of M do not see it more exactly.
_BESIDE = 1e-3
# The error of finite differences that is allowed on top, in units of rounding of M.
_LAST_PLACES = 2**18


def check_metric(
    metric: Metric,
    points: Codes,
    *,
    scale: float = 1.0,
    rtol: float = 1e-4,
    definite: bool = True,
    dtypes: Sequence[torch.dtype] = (torch.float64,),
    generator: torch.Generator | None = None,
) -> None:
    """Hold a metric against the laws of a Riemannian metric, and its methods against its matrix.

    In this order: domain, shape, symmetry, positivity, dtype, batch, empty batch, inner product,
    norm, log-volume, smoothness, second derivatives, chords, chord sum, chord floor, chord
    gradient, energy gradient, chord expansion, end expansion, acceleration, and change of
    coordinates, in which the matrix is a tensor and geodesics stay geodesics.

    Args:
        metric: the metric.
        points: points to try it at, shape `(n, d)`, in double precision, for it is compared with
            finite differences.
        scale: the length, in latent units, over which the metric changes much: derivatives are
            tried by steps of a thousandth of it, chords within a twentieth.
        rtol: the share by which finite differences may be off.
        definite: expect positive definite matrices; else semi-definite ones will do, and what a
            singular matrix does not determine is left out.
        dtypes: the types in which the metric must compute, and answer in the type it was asked in.
        generator: draws the tangent vectors; seed 0 if None.

    Raises:
        AssertionError: a law is broken; the message says which, at which point and by how much.
        InvalidDataError: the points are no finite matrix in double precision.
        InvalidParameterError: `scale` or `rtol` is out of range.

    Example:
        >>> from pullback.manifolds.reference import HalfPlane
        >>> check_metric(HalfPlane(), torch.tensor([[0.0, 1.0], [3.0, 2.0]]).double())
    """
    z = check_data("points", points, dim=metric.dim, min_samples=1).detach()
    if z.dtype != torch.float64:
        raise InvalidDataError(f"`points` must be of float64, but are of {z.dtype}. Convert them.")
    check_number("scale", scale, 0, open_low=True)
    check_number("rtol", rtol, 0, open_low=True)
    generator = generator or torch.Generator(z.device).manual_seed(0)
    u, v = torch.randn(2, *z.shape, generator=generator, dtype=z.dtype, device=z.device)
    case = MetricTrial(metric, z, u, v, scale, rtol, definite)
    _check_matrix(case)
    for dtype in dtypes:
        _check_dtype(case, dtype)
    _check_batch(case)
    _check_products(case)
    with torch.no_grad():
        _check_smoothness(case)
        check_chords(case)
        check_chord_gradients(case)
        check_chord_expansions(case)
        _check_acceleration(case)
        _check_coordinates(case)


def _check_matrix(case: MetricTrial) -> None:
    metric, z = case.metric, case.z
    inside = metric.contains(z)
    hold("domain", inside.dtype == torch.bool and inside.shape == z.shape[:1], "mask of points")
    within("domain", (~inside).double(), 0.5, z)
    M = metric.metric_matrix(z)
    hold("shape", M.shape == (*z.shape, z.shape[-1]), f"M has shape {tuple(M.shape)}")
    within("finite", (~M.isfinite()).double(), 0.5, z)
    scale = size(M)
    agree("symmetry", M, M.mT, SAME * scale, z)
    smallest = torch.linalg.eigvalsh((M + M.mT) / 2)[:, 0]
    least = torch.finfo(M.dtype).eps * scale if case.definite else -SAME * scale
    within("positivity", -smallest, -least, z)


def _check_dtype(case: MetricTrial, dtype: torch.dtype) -> None:
    metric = case.metric
    z, u, v = (w.to(dtype) for w in (case.z, case.u, case.v))
    M = metric.metric_matrix(z)
    answers = {
        "metric_matrix": M,
        "inner_product": metric.inner_product(z, u, v),
        "norm": metric.norm(z, v),
        "log_volume": metric.log_volume(z),
        "chords": metric.chords(case.chain().to(dtype)),
        "acceleration": metric.acceleration(z, v),
        "expand_chords": metric.expand_chords(case.chain().to(dtype)).diagonal,
    }
    for name, answer in answers.items():
        kept = answer.dtype == dtype and answer.device == z.device
        hold("dtype", kept, f"{name} answers {dtype} by {answer.dtype} on {answer.device}")
    exact = metric.metric_matrix(case.z)
    tolerance = SAME if dtype == torch.float64 else _SINGLE
    agree("dtype", M.double(), exact, tolerance * size(exact), case.z)


def _check_batch(case: MetricTrial) -> None:
    metric, z, u, v, chain = case.metric, case.z, case.u, case.v, case.chain()
    methods: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
        "metric_matrix": (metric.metric_matrix, (z,)),
        "inner_product": (metric.inner_product, (z, u, v)),
        "norm": (metric.norm, (z, v)),
        "log_volume": (metric.log_volume, (z,)),
        "acceleration": (metric.acceleration, (z, v)),
        "contains": (metric.contains, (z,)),
        "chords": (metric.chords, (chain,)),
    }
    for name, (method, arguments) in methods.items():
        whole = method(*arguments)
        loop = torch.stack([method(*row) for row in zip(*arguments, strict=True)])
        nested = method(*(a[None, :, None] for a in arguments))
        law = f"batch: {name}"
        hold(law, nested.shape == (1, len(z), 1, *whole.shape[1:]), f"shape {nested.shape}")
        for other in (loop, nested.reshape(whole.shape)):
            same = torch.isclose(whole, other, rtol=SAME, atol=SAME * _peak(whole))
            within(law, (~(same | (whole.isnan() & other.isnan()))).double(), 0.5, z)
        empty = method(*(a[:0] for a in arguments))
        hold(f"empty batch: {name}", empty.shape == (0, *whole.shape[1:]), f"{empty.shape}")


def _check_products(case: MetricTrial) -> None:
    metric, z, u, v = case.metric, case.z, case.u, case.v
    M = metric.metric_matrix(z)
    scale = size(M) * u.norm(dim=-1) * v.norm(dim=-1)
    product = torch.einsum("ni,nij,nj->n", u, M, v)
    agree("inner product", metric.inner_product(z, u, v), product, SAME * scale, z)
    squared = torch.einsum("ni,nij,nj->n", v, M, v)
    longest = size(M) * v.square().sum(-1)
    agree("norm", metric.norm(z, v).square(), squared, SAME * longest, z)
    regular = case.regular
    off = metric.log_volume(z) - torch.linalg.slogdet(M).logabsdet / 2
    within("log-volume", torch.where(regular, off.abs(), 0), 1e-5, z)


def _check_smoothness(case: MetricTrial) -> None:
    metric, z, v = case.metric, case.z, unit(case.v) * case.scale

    def matrix(z: Tensor) -> Tensor:
        return metric.metric_matrix(z).flatten(-2)

    def change(z: Tensor) -> Tensor:
        return jvp(matrix, z, v)[1]

    M, first = jvp(matrix, z, v)
    _, second = jvp(change, z, v)
    _close("smoothness", case, first, difference(matrix, z, v), values=M)
    within("second derivatives", (~second.isfinite()).double(), 0.5, z)
    _close("second derivatives", case, second, difference(change, z, v), values=M)


def _check_acceleration(case: MetricTrial) -> None:
    metric, z, v = case.metric, case.z, unit(case.v) * case.scale
    eye = case.scale * torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)

    def squared(z: Tensor) -> Tensor:
        return torch.einsum("ni,nij,nj->n", v, metric.metric_matrix(z), v)

    slopes = [difference(squared, z, e.expand_as(z)) / case.scale for e in eye]
    change = difference(lambda z: (metric.metric_matrix(z) @ v[..., None]).squeeze(-1), z, v)
    M = metric.metric_matrix(z)
    force = torch.stack(slopes, -1) / 2 - change
    found = (M @ metric.acceleration(z, v).unsqueeze(-1)).squeeze(-1)
    # M times the acceleration may be off by the rounding of a solve with M, which grows with its
    # condition: the tolerance is relative to M, not to the product.
    scale = size(M) * case.scale * (1 + v.norm(dim=-1))
    off = torch.where(case.regular, (found - force).abs().amax(-1), 0)
    within("acceleration", off, case.rtol * scale + case.rtol * force.norm(dim=-1), z)


def _check_coordinates(case: MetricTrial) -> None:
    """In coordinates w with z = z(w): M becomes J^T M J, and z'' = J w'' + d^2 z[w', w']."""
    metric, z, v = case.metric, case.z, case.scale * unit(case.v)
    changed, w = in_other_coordinates(metric), to_other_coordinates(z)
    slope = jvp(to_other_coordinates, z, v)[1]
    again = changed.norm(w, slope).square()
    scale = size(metric.metric_matrix(z)) * case.scale**2
    error = (again - metric.norm(z, v).square()).abs()
    within("change of coordinates", error, case.rtol * scale, z)
    bent = metric.acceleration(z, v)
    bend = jvp(lambda z: jvp(to_other_coordinates, z, v)[1], z, v)[1]
    truth = jvp(to_other_coordinates, z, bent)[1] + bend
    found = changed.acceleration(w, slope)
    off = torch.where(case.regular, (found - truth).norm(dim=-1), 0)
    tolerance = case.rtol * (truth.norm(dim=-1).nan_to_num() + slope.norm(dim=-1))
    within("change of coordinates: acceleration", off, tolerance, z)


def _close(law: str, case: MetricTrial, found: Tensor, truth: Tensor, *, values: Tensor) -> None:
    floor = case.rtol * _BESIDE + _LAST_PLACES * torch.finfo(values.dtype).eps
    allowed = case.rtol * size(truth) + floor * size(values)
    agree(law, found, truth, allowed, case.z)


def _peak(values: Tensor) -> float:
    finite = values[values.isfinite()].double()
    return float(finite.abs().max()) if finite.numel() else 0.0
