"""Which metric do I want? The choice by name, and the default of each family of distributions."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, LogNormal

from pullback.errors import InvalidParameterError, check_choice
from pullback.metrics.ambient.base import AmbientMetric
from pullback.metrics.base import Metric
from pullback.metrics.enriched import with_ambient
from pullback.metrics.ensemble import EnsembleMetric
from pullback.metrics.immersions import has_immersion, words
from pullback.metrics.information.fisher_information import has_information
from pullback.metrics.information.fisher_rao import FisherRaoMetric
from pullback.metrics.information.kl import KLMetric
from pullback.metrics.pullback import PullbackMetric
from pullback.models import EnsembleDecoder
from pullback.models.decoding.preparation import (
    TakenIn,
    as_model,
    read_dim,
    take_in,
)
from pullback.models.likelihoods.base import family_of

__all__ = ["metric_of"]

# What `metric=` may be called.
_METRICS = ("expected", "fisher_rao", "kl")
# What a decoder may return so that its mean is in the unit of the data, beside the families whose
# likelihood says so: the expected metric makes sense for it.
_IN_DATA_UNIT = (Tensor, LogNormal)


def metric_of(
    decoder: nn.Module | Callable[[Tensor], Any],
    metric: Any = None,
    *,
    ambient: AmbientMetric | None = None,
    **options: Any,
) -> Metric:
    r"""Pull back the metric of a decoder's likelihood, chosen by name or by the family.

    ==============  ==============================================================================
    `"expected"`    What moves in data space: J_mu^T J_mu + J_sigma^T J_sigma [1]. In the unit of
                    the data. The default for tensors, Normal and LogNormal.
    `"fisher_rao"`  What can be told apart by looking at x [2]: a step counts in standard deviations
                    of the noise. The default for every `Likelihood` with an `image` or an
                    `information` but Normal, and for Exponential, ContinuousBernoulli, Gamma, Beta,
                    Dirichlet, VonMises, MultivariateNormal and zero-inflated counts.
    `"kl"`          The same from any Kullback-Leibler divergence that PyTorch knows, by its second-
                    order expansion: the default for all other families.
    ==============  ==============================================================================

    Args:
        decoder: z -> p(x|z): a module or function, or an `EnsembleDecoder`, whose members' metrics
            are averaged.
        metric: `"expected"`, `"fisher_rao"` or `"kl"`; None for the default of the family.
        ambient: a metric of the data space, which the expected one is then measured in.
        options: `dim`, `dtype`, `device` and `trainable` of `PullbackMetric.from_decoder`.

    Returns:
        The metric: a `PullbackMetric` wherever the likelihood has a flat image, for speed. An
        immersion that you have registered is taken for one.

    Raises:
        InvalidParameterError: the family has no metric of that name.
        InvalidDataError: the decoder is broken, see `PullbackMetric.from_decoder`.

    Source:
        [1] Arvanitidis, Hansen, Hauberg, Latent Space Oddity: on the curvature of deep generative
        models (2018). [2] Arvanitidis, Gonzalez-Duque, Pouplin, Kalatzis, Hauberg, Pulling back
        information geometry (2022).

    Example:
        >>> from torch.distributions import Normal
        >>> decoder = lambda z: Normal(z, 1 + z.square())
        >>> z = torch.ones(1).double()
        >>> metric_of(decoder, dim=1).metric_matrix(z).item()  # 1 + (2 z)^2
        5.0
        >>> metric_of(decoder, "fisher_rao", dim=1).metric_matrix(z).item()  # (1 + 2 (2 z)^2) / 4
        2.25
    """
    if isinstance(metric, Metric):
        cure = "Give the metric itself in place of the decoder: `Manifold(metric)`."
        raise InvalidParameterError("metric", "a name", f"a {type(metric).__name__}", cure)
    if metric is not None:
        check_choice("metric", metric, _METRICS)
    as_model(decoder)  # which refuses what cannot be called
    if isinstance(decoder, EnsembleDecoder):
        return _ensemble(decoder, metric, ambient, options)
    return _measure(decoder, take_in(decoder, **options), metric, ambient, options)


def _measure(
    decoder: Callable[[Tensor], Any],
    at: TakenIn,
    metric: str | None,
    ambient: AmbientMetric | None,
    options: dict[str, Any],
) -> Metric:
    name = metric or _default(at.output)
    kind: type[PullbackMetric | FisherRaoMetric] = FisherRaoMetric
    chosen: PullbackMetric | KLMetric | FisherRaoMetric
    if name == "expected":
        _refuse_without_expectation(at.output)
        kind = PullbackMetric
    elif _is_flat(at.output):
        kind = PullbackMetric
    if name == "kl":  # which computes in double precision whatever was asked for
        chosen = KLMetric.from_decoder(decoder, **options | {"dim": len(at.origin)})
    else:
        trainable = options.get("trainable", False)
        chosen = kind.from_prepared(at.decoder, at.origin, trainable=trainable)
    return chosen if ambient is None else _enrich(chosen, ambient, name, at.origin)


def _ensemble(
    ensemble: EnsembleDecoder,
    metric: str | None,
    ambient: AmbientMetric | None,
    options: dict[str, Any],
) -> EnsembleMetric:
    options["dim"] = read_dim(ensemble, options.get("dim"))
    looks = [take_in(part, **options) for part in ensemble.decoders]
    names = {metric or _default(at.output) for at in looks}
    if len(names) > 1:
        raise InvalidParameterError(
            "metric",
            "given where the members of an ensemble have different likelihoods",
            f"None for members measured by {' and '.join(sorted(names))}",
            "These are in different units.",
        )
    parts = [
        _measure(part, at, metric, ambient, options)
        for part, at in zip(ensemble.decoders, looks, strict=True)
    ]
    prepared = [getattr(part, "decoder", None) for part in parts]
    return EnsembleMetric(parts, EnsembleDecoder(prepared, latent_dim=options["dim"]))


def _enrich(
    metric: PullbackMetric | KLMetric | FisherRaoMetric,
    ambient: AmbientMetric,
    name: str,
    origin: Tensor,
) -> Metric:
    if isinstance(metric, KLMetric):
        raise InvalidParameterError(
            "ambient", "None for the metric 'kl'", type(ambient).__name__, "It measures no x."
        )
    return with_ambient(metric, ambient, origin)


def _default(outputs: Any) -> str:
    kinds = {type(leaf) for leaf in _leaves(outputs)}
    if all(map(_is_expected, kinds)):
        return "expected"
    return "fisher_rao" if all(has_information(k) or _is_isometric(k) for k in kinds) else "kl"


def _leaves(output: Any) -> Iterator[Tensor | Distribution]:
    """Yield the tensors and distributions that an output is made of."""
    if isinstance(output, Independent):
        yield from _leaves(output.base_dist)
    elif isinstance(output, Mapping):
        for part in output.values():
            yield from _leaves(part)
    elif isinstance(output, (tuple, list)):
        for part in output:
            yield from _leaves(part)
    else:
        yield output


def _refuse_without_expectation(outputs: Any) -> None:
    kinds = {type(leaf) for leaf in _leaves(outputs)}
    others = {kind.__name__ for kind in kinds if not _is_expected(kind)}
    if others:
        raise InvalidParameterError(
            "metric",
            "'fisher_rao', 'kl' or None for this likelihood",
            f"'expected' for {words(others)}",
            "It is defined for tensors, Normal and LogNormal.",
        )


def _is_expected(kind: type) -> bool:
    """Say whether the immersion of a class of outputs has the expected metric."""
    family = family_of(kind)
    return issubclass(kind, _IN_DATA_UNIT) or (
        family is not None and family.has("image") and not family.isometric
    )


def _is_isometric(kind: type) -> bool:
    """Say whether a class of outputs has an immersion with the Fisher-Rao metric."""
    return has_immersion(kind) and not _is_expected(kind)


def _is_flat(outputs: Any) -> bool:
    """Say whether the Fisher-Rao metric of all that a decoder returned is that of immersions."""
    leaves = list(_leaves(outputs))
    return all(_is_isometric(type(leaf)) and _is_held(leaf) for leaf in leaves)


def _is_held(leaf: Any) -> bool:
    """Say whether what must not move with z is the same everywhere, as dispersions of counts."""
    family = family_of(type(leaf))
    values = [getattr(leaf, name) for name in (family.held if family else ())]
    return all(torch.equal(value, value[:1].expand_as(value)) for value in values)
