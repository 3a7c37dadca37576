"""Laws that the metric of a likelihood obeys, to hold a family of one's own against."""

from collections.abc import Callable, Iterator, Mapping
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from pullback.autodiff import second_order, unvalidated_distributions
from pullback.errors import InvalidParameterError, check_data, check_integer, check_number
from pullback.metrics import (
    FisherRaoMetric,
    KLMetric,
    PullbackMetric,
    fisher_information,
    immersion,
    statistical_model,
    symmetric_divergence,
)
from pullback.models import draw
from pullback.shapes import Codes, Mask

__all__ = ["check_likelihood"]

# The relative error that a metric may have in single precision, in Frobenius norm.
_SINGLE = 2e-3
# The distance, in the unit of the parameters, of the nodes whose chords are expanded.
_STEP = 1e-2
# How far an eigenvalue may be below zero, in units of rounding of the largest entry.
_ROUNDING = 1e3

Make = Callable[[Tensor], Any]


def check_likelihood(
    make: Make,
    parameters: Codes,
    *,
    edges: Tensor | None = None,
    isometric: bool = True,
    n_draws: int = 20_000,
    false_alarms: float = 1e-4,
    rtol: float = 1e-6,
    generator: torch.Generator | None = None,
) -> None:
    """Hold the immersion and the Fisher information of a family against every law of this module.

    The laws are, by name: "Monte-Carlo information" (the mean of the outer products of scores, by
    automatic derivatives of `log_prob`, is the metric), "divergence" (twice KL at small steps is
    the metric, where a KL is registered), "positive" (finite, symmetric, with no negative
    eigenvalue), "batch" (each row on its own), "derivatives" (images, and squared chords to second
    order, are finite under `torch.func`, in double and single precision) and "precision" (single
    precision gives the same metric).

    Args:
        make: the family: from unconstrained parameters `(n, k)` to a distribution, or a tuple, list
            or dict of independent ones; for any floating-point type.
        parameters: points inside of the family, shape `(n, k)`.
        edges: points where probabilities or rates vanish or explode, shape `(e, k)`: they are held
            against "positive", "batch" and "derivatives" only, for draws say nothing there.
        isometric: whether the immersion, if there is one, has the Fisher-Rao metric. It has not
            where it is for the expected metric of a Normal, or for a dispersion that is fixed.
        n_draws: how many observations are drawn for each point.
        false_alarms: the rate at which a right metric breaks the Monte-Carlo law, all entries
            together, by the normal law of means.
        rtol: relative error, in Frobenius norm, by which the divergence may differ.
        generator: draws the observations; seed 0 if None.

    Raises:
        AssertionError: a law is broken; the message says which, by what, where and by how much.
        InvalidParameterError: the family has neither immersion nor Fisher information.

    Example:
        >>> from torch.distributions import Poisson
        >>> check_likelihood(lambda t: Poisson(t.exp()), torch.zeros(1, 1))
    """
    check_integer("n_draws", n_draws, low=100)
    check_number("false_alarms", false_alarms, 0, 1, open_low=True)
    inner = check_data("parameters", parameters, min_samples=1).double()
    outer = inner[:0] if edges is None else check_data("edges", edges, dim=inner.shape[1]).double()
    generator = generator or torch.Generator().manual_seed(0)
    everywhere = torch.cat([inner, outer])
    for name, metric in _metrics(make, inner):
        if isometric or name != "immersion":
            _check_information(name, metric, make, inner, n_draws, false_alarms, generator)
            _check_divergence(name, metric, make, inner, rtol)
        _check_batch(name, metric, everywhere)
        single = dict(_metrics(make, inner.float()))[name]
        for each, dtype in ((metric, torch.float64), (single, torch.float32)):
            _check_positive(name, each, everywhere.to(dtype))
            _check_derivatives(name, each, everywhere.to(dtype))
        _check_precision(name, single, metric, inner)
    if _knows(statistical_model, make, inner):
        _check_blocks(make, everywhere)


def _metrics(make: Make, z: Tensor) -> Iterator[tuple[str, PullbackMetric]]:
    """Yield the metrics that the family has, in the dtype of z, with their names."""
    options: dict[str, Any] = {"dim": z.shape[1], "dtype": z.dtype, "device": z.device}
    known = False
    if _knows(immersion, make, z):
        known = True
        yield "immersion", PullbackMetric.from_decoder(make, **options)
    if _knows(statistical_model, make, z):
        known = True
        yield "Fisher information", FisherRaoMetric.from_decoder(make, **options)
    if not known:
        statistical_model(_output(make, z))  # which says what to register


def _output(make: Make, z: Tensor) -> Any:
    with unvalidated_distributions():
        return make(z)


def _knows(description: Callable[[Any], Any], make: Make, z: Tensor) -> bool:
    try:
        description(_output(make, z[:1]))
    except InvalidParameterError:
        return False
    return True


def _check_information(
    name: str,
    metric: PullbackMetric,
    make: Make,
    z: Tensor,
    n_draws: int,
    false_alarms: float,
    generator: torch.Generator,
) -> None:
    score = _scores(make, z, n_draws, generator)
    outer = score.unsqueeze(-1) * score.unsqueeze(-2)
    mean, spread = outer.mean(0), outer.std(0) / n_draws**0.5
    found = metric.metric_matrix(z)
    n_entries = z.shape[0] * z.shape[1] * (z.shape[1] + 1) // 2
    limit = NormalDist().inv_cdf(1 - false_alarms / n_entries / 2)
    error = (mean - found).abs()
    rounding = 1e-9 * (mean.abs() + found.abs())
    excess = ((error - rounding).clamp(min=0) / spread.clamp(min=1e-300)).amax((-1, -2))
    _hold("Monte-Carlo information", name, excess <= limit, z, metric=found, mean_of_scores=mean)


def _scores(make: Make, z: Tensor, n_draws: int, generator: torch.Generator) -> Tensor:
    """Differentiate log p(x|z), x drawn from p(x|z): shape `(n_draws, n, k)`."""
    with torch.enable_grad():
        rows = z.repeat(n_draws, 1).requires_grad_()
        total = sum(
            part.log_prob(draw(part, generator=generator).detach()).sum()
            for part in _parts(_output(make, rows))
        )
        (score,) = torch.autograd.grad(torch.as_tensor(total), rows)
    return score.reshape(n_draws, *z.shape)


def _parts(output: Any) -> Iterator[Distribution]:
    if isinstance(output, Mapping):
        output = tuple(output.values())
    if isinstance(output, tuple | list):
        for part in output:
            yield from _parts(part)
    elif isinstance(output, Distribution):
        yield output
    else:
        raise InvalidParameterError(
            "make", "a function that returns distributions", f"a {type(output).__name__}"
        )


def _check_divergence(
    name: str, metric: PullbackMetric, make: Make, z: Tensor, rtol: float
) -> None:
    try:
        symmetric_divergence(_output(make, z), _output(make, z))
    except InvalidParameterError:
        return  # none is registered: the Monte-Carlo law has to do
    found, wanted = metric.metric_matrix(z), KLMetric(make, z.shape[1]).metric_matrix(z)
    holds = (found - wanted).norm(dim=(-1, -2)) <= rtol * wanted.norm(dim=(-1, -2))
    _hold("divergence", name, holds, z, metric=found, twice_kl=wanted)


def _check_positive(name: str, metric: PullbackMetric, z: Tensor) -> None:
    found = metric.metric_matrix(z)
    _hold("positive", name, _is_positive(found), z, metric=found)


def _check_blocks(make: Make, z: Tensor) -> None:
    found = fisher_information(_output(make, z))
    scale = found.diagonal(dim1=-2, dim2=-1).abs().clamp(min=1e-300).rsqrt()
    scaled = found * scale.unsqueeze(-1) * scale.unsqueeze(-2)
    _hold("positive", "Fisher information", _is_positive(scaled), z, information=found)


def _is_positive(A: Tensor) -> Mask:
    finite = A.isfinite().all(-1).all(-1)
    safe = torch.where(finite[..., None, None], A, 0.0)
    size = safe.abs().amax((-1, -2))
    small = _ROUNDING * torch.finfo(A.dtype).eps
    # Eigenvalues of numbers that overflow, or that have lost digits near zero, come out as NaN.
    unit = safe / size.clamp(min=torch.finfo(A.dtype).tiny)[..., None, None]
    unit = torch.where(unit.abs() < small**3, 0.0, unit)
    symmetric = (unit - unit.mT).abs().amax((-1, -2)) <= small
    positive: Tensor = torch.linalg.eigvalsh(unit)[..., 0] >= -small
    return finite & symmetric & positive


def _check_batch(name: str, metric: PullbackMetric, z: Tensor) -> None:
    together = metric.metric_matrix(z)
    alone = torch.stack([metric.metric_matrix(point) for point in z])
    size = together.abs().amax((-1, -2)).clamp(min=1e-300)
    holds = (together - alone).abs().amax((-1, -2)) / size <= 1e-9
    _hold("batch", name, holds, z, together=together, alone=alone)


def _check_derivatives(name: str, metric: PullbackMetric, z: Tensor) -> None:
    image = metric.immersion(z)
    of_image = second_order(metric.immersion, z, torch.ones_like(image))
    nodes = z.unsqueeze(1) + _STEP * torch.tensor([-1.0, 0.0, 1.0]).to(z)[:, None]
    of_chords = metric.expand_chords(nodes)
    for place, parts in (("image", of_image), ("squared chord", of_chords)):
        finite = [part.reshape(len(z), -1).isfinite().all(-1) for part in parts if part.numel()]
        _hold("derivatives", f"{name} ({place}, {z.dtype})", torch.stack(finite).all(0), z)


def _check_precision(name: str, single: PullbackMetric, metric: PullbackMetric, z: Tensor) -> None:
    found, wanted = single.metric_matrix(z.float()).double(), metric.metric_matrix(z)
    holds = (found - wanted).norm(dim=(-1, -2)) <= _SINGLE * wanted.norm(dim=(-1, -2))
    _hold("precision", name, holds, z, in_single=found, in_double=wanted)


def _hold(law: str, name: str, holds: Mask, z: Tensor, **numbers: Tensor) -> None:
    """Raise an error that names the law, the first row that breaks it, and its numbers there."""
    if bool(holds.all()):
        return
    row = int((~holds).nonzero()[0])
    details = "".join(f"\n  {key}: {value[row].tolist()}" for key, value in numbers.items())
    raise AssertionError(
        f"The law {law!r} is broken by the {name} at parameters {z[row].tolist()} "
        f"(row {row}, and {int((~holds).sum())} of {len(holds)} rows in all).{details}"
    )
