"""A decoder as the page evaluates it: its network, and how the output is read and measured."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from pullback.explorer.alone.layers import inlined, packed, refusal
from pullback.explorer.scene import Scene
from pullback.metrics import PullbackMetric
from pullback.models import Decoder
from pullback.models.decoding.copying import Forgetful
from pullback.models.likelihoods import (
    BernoulliLikelihood,
    NegativeBinomialLikelihood,
    NormalLikelihood,
    PoissonLikelihood,
    StudentTLikelihood,
)
from pullback.models.likelihoods.std.precision import ConstantStd, NetworkStd, RBFPrecision

__all__ = ["model_of"]


def model_of(scene: Scene) -> dict[str, Any]:
    """Return the decoder of a scene as the page evaluates it.

    Args:
        scene: what is explored.

    Returns:
        `layers` of the network, the `family` that says how they are read, and the `unit` of the
        data as they were read.

    Raises:
        InvalidParameterError: there is none, or a part of it that a page cannot evaluate; the
            message names that.

    Example:
        >>> import torch
        >>> from pullback.manifolds import Manifold
        >>> network = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3)).double()
        >>> scene = Scene("net", Manifold(network, dim=2), torch.eye(2).double())
        >>> model = model_of(scene)
        >>> len(model["layers"]), model["family"]
        (3, {'name': 'point'})
    """
    exact = scene.manifold.metric.exact
    if scene.manifold.decoder is None:
        raise refusal("a metric without a decoder: nothing could be shown along a path")
    if type(exact) is not PullbackMetric:
        cure = "`pullback explore` shows it."
        raise refusal(f"a {type(exact).__name__}, which a page cannot measure again", cure)
    layers, family = _read(scene.manifold.decoder, scene.d)
    unit = {
        name: packed(np.atleast_1d(np.asarray(getattr(scene, name), dtype=np.float64)))
        for name in ("scale", "center")
    }
    return {"layers": layers, "family": family, "unit": unit}


def _read(decoder: Any, dim: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    if type(decoder) is Forgetful:
        return _read(decoder.module, dim)
    if not isinstance(decoder, nn.Module):
        cure = "Give a module of such layers, or explore it by `pb.explore`."
        raise refusal(f"the function {getattr(decoder, '__name__', decoder)!r}", cure)
    if type(decoder) is not Decoder:
        layers, _ = inlined(decoder, (dim,))
        return layers, {"name": "point"}
    if decoder._output is not None or decoder._inputs._values:
        raise refusal("a Decoder with `inputs` or `output`")
    layers, _ = inlined(decoder.mean, (dim,))
    return layers, _family(decoder.likelihood, dim)


def _family(likelihood: Any, dim: int) -> dict[str, Any]:
    if likelihood is None:
        return {"name": "point"}
    if likelihood == "bernoulli":
        return {"name": "bernoulli"}
    made = _FAMILIES.get(type(likelihood))
    if made is None:
        kind = repr(likelihood) if isinstance(likelihood, str) else type(likelihood).__name__
        cure = f"Known are {', '.join(sorted(one.__name__ for one in _FAMILIES))}."
        raise refusal(f"the likelihood {kind}", cure)
    return made(likelihood, dim)


def _normal(likelihood: Any, dim: int) -> dict[str, Any]:
    return {"name": "normal", "std": _std(likelihood.std, dim)}


def _student_t(likelihood: Any, dim: int) -> dict[str, Any]:
    nu = likelihood.df
    by: Tensor = ((nu + 1) / (nu + 3)) ** 0.5 / likelihood.log_scale.exp()
    return {"name": "student_t", "by": packed(by)}


def _negative_binomial(likelihood: Any, dim: int) -> dict[str, Any]:
    return {"name": "negative_binomial", "log_dispersion": packed(likelihood.log_dispersion)}


_FAMILIES: dict[type, Callable[[Any, int], dict[str, Any]]] = {
    NormalLikelihood: _normal,
    BernoulliLikelihood: lambda likelihood, dim: {"name": "bernoulli"},
    PoissonLikelihood: lambda likelihood, dim: {"name": "poisson"},
    StudentTLikelihood: _student_t,
    NegativeBinomialLikelihood: _negative_binomial,
}


def _std(std: nn.Module, dim: int) -> dict[str, Any]:
    if type(std) is ConstantStd:
        return {"kind": "constant", "value": float(std.log_std.exp()), "size": std.data_dim}
    if type(std) is NetworkStd:
        layers, _ = inlined(std.network, (dim,), "std.network")
        least, scale = float(std.min_std), float(std.scale)
        return {"kind": "network", "layers": layers, "min": least, "scale": scale}
    if type(std) is RBFPrecision:
        arrays = {name: packed(getattr(std, name)) for name in ("centers", "bandwidths", "weights")}
        return {"kind": "rbf", **arrays, "zeta": float(std.zeta)}
    raise refusal(f"the standard deviation {type(std).__name__}")
