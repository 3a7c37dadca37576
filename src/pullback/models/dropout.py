"""Monte-Carlo dropout: one network with its dropout layers on, as an ensemble of decoders."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pullback.errors import InvalidParameterError, check_integer
from pullback.models.decoding.copying import copy_module
from pullback.models.ensemble import DecoderSampler
from pullback.shapes import Ambient, Data

__all__ = ["FixedDropout", "mc_dropout"]

# Layers that drop whole channels: their mask has one number for each channel.
_BY_CHANNEL = (nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class FixedDropout(nn.Module):
    """A dropout layer whose mask was drawn once: x -> mask * x.

    Args:
        mask: 0 for units that are dropped and 1 / (1 - p) for the others, of the shape of one item.

    Example:
        >>> FixedDropout(torch.tensor([0.0, 2.0]))(torch.ones(3, 2))[0].tolist()
        [0.0, 2.0]
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, x: Ambient) -> Data:
        """Drop the same units in every item."""
        return x * self.mask


def mc_dropout(
    module: nn.Module | Callable[[Tensor], Any],
    n_samples: int = 10,
    generator: torch.Generator | None = None,
    *,
    latent_dim: int | None = None,
) -> DecoderSampler:
    """Draw decoders from a network that was trained with dropout, each with masks of its own.

    In a member every dropout layer holds one mask for all points, so that the member is a smooth
    decoder; all else is in evaluation mode. The members share the weights of the network.

    Args:
        module: the network, with `torch.nn.Dropout` layers (or those for channels); dropout by
            `torch.nn.functional` cannot be seen from here.
        n_samples: how many decoders to draw.
        generator: the source of the masks; one with seed 0 if None.
        latent_dim: the latent dimension d; the module's own, or that of its first linear layer if
            None.

    Returns:
        The ensemble.

    Raises:
        InvalidParameterError: no layer drops anything, one is of a kind that has no mask, or the
            latent dimension is unknown.

    Source:
        Gal, Ghahramani, Dropout as a Bayesian approximation: representing model uncertainty in deep
        learning (2016).

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3))
        >>> ensemble = mc_dropout(network, n_samples=4)
        >>> len(ensemble.members), ensemble.latent_dim
        (4, 2)
    """
    if not isinstance(module, nn.Module):
        raise InvalidParameterError("module", "a `torch.nn.Module`", f"a {type(module).__name__}")
    dim = _latent_dim(module) if latent_dim is None else check_integer("latent_dim", latent_dim)
    shapes = _shapes_at_dropout(module, dim)
    return DecoderSampler(
        partial(_frozen, module, shapes), n_samples=n_samples, generator=generator, latent_dim=dim
    )


def _latent_dim(module: nn.Module) -> int:
    own = getattr(module, "latent_dim", None)
    linear = (part.in_features for part in module.modules() if isinstance(part, nn.Linear))
    dim = own if isinstance(own, int) else next(linear, None)
    if dim is None:
        raise InvalidParameterError(
            "latent_dim", "given where the network has no linear layer to read it off", None
        )
    return dim


class _Look(nn.Module):
    """Stands in the place of a layer and notes the shapes of the items that come by."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[torch.Size] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.add(x.shape[1:])
        return x


def _shapes_at_dropout(module: nn.Module, latent_dim: int) -> dict[str, torch.Size]:
    """Send one point through a copy and note what arrives at each layer that drops."""
    twin = _share_weights(module).eval()
    looks = {name: _Look() for name in _dropout_layers(module)}
    for name, look in looks.items():
        _put(twin, name, look)
    like = next(twin.parameters(), torch.empty(0))
    with torch.no_grad():
        twin(torch.zeros(1, latent_dim, dtype=like.dtype, device=like.device))
    reached = {name: look.seen for name, look in looks.items() if look.seen}
    shared = [name for name, seen in reached.items() if len(seen) > 1]
    if shared or not reached:
        allowed = "a network with dropout layers of rate > 0, each for activations of one shape"
        raise InvalidParameterError("module", allowed, shared or "none that is reached")
    return {name: next(iter(seen)) for name, seen in reached.items()}


def _dropout_layers(module: nn.Module) -> dict[str, nn.Module]:
    """Return the layers that drop by name: a layer in two places has two names, and two masks."""
    layers: dict[str, nn.Module] = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        if name and "Dropout" in type(layer).__name__ and getattr(layer, "p", 0) > 0:
            if not isinstance(layer, (nn.Dropout, *_BY_CHANNEL)):
                allowed = "a network whose dropout layers multiply by a mask"
                raise InvalidParameterError("module", allowed, f"a {type(layer).__name__} `{name}`")
            layers[name] = layer
    return layers


def _frozen(
    module: nn.Module, shapes: dict[str, torch.Size], generator: torch.Generator
) -> nn.Module:
    """Return a copy over the same weights with a fixed mask in the place of each dropout layer."""
    twin, layers = _share_weights(module).eval(), _dropout_layers(module)
    like = next(module.parameters(), torch.empty(0))
    for name, shape in shapes.items():
        _put(twin, name, FixedDropout(_mask(layers[name], shape, generator).to(like)))
    return twin


def _put(module: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(module.get_submodule(parent), own, layer)


def _mask(layer: nn.Module, shape: torch.Size, generator: torch.Generator) -> Tensor:
    if isinstance(layer, _BY_CHANNEL):
        shape = torch.Size([shape[0], *[1] * (len(shape) - 1)])
    rate = float(layer.p)  # type: ignore[arg-type]
    kept = torch.rand(shape, generator=generator, device=generator.device) >= rate
    return kept / (1 - rate) if rate < 1 else torch.zeros(shape, device=generator.device)


def _share_weights(module: nn.Module) -> nn.Module:
    return copy_module(module, share=[*module.parameters(), *module.buffers()])
