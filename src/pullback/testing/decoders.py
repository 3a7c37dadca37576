"""Laws that a decoder obeys if its geometry can be trusted, to hold one's own against."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pullback.autodiff import Map
from pullback.models.decoding.decoder import Decoder
from pullback.models.decoding.door import check_images, probes
from pullback.models.decoding.laws import broken_laws
from pullback.models.decoding.output import flatten_output, map_output
from pullback.models.decoding.preparation import prepare_decoder, read_dim
from pullback.shapes import Codes

__all__ = ["check_decoder"]

# The spread that is assumed of a single point, which has none.
_LEAST = 1e-3
# What another order of summation may change, as a share of the values.
_SAME = 1e-9


def check_decoder(
    decoder: nn.Module | Callable[[Tensor], Any],
    points: Codes | None = None,
    *,
    dim: int | None = None,
    rtol: float = 1e-4,
) -> None:
    r"""Hold a decoder against the laws that its geometry rests on, in double precision.

    It is finite, deterministic and depends on z; a point's output does not change with the other
    points of its batch, nor with how z is shaped; its first and second derivatives, as `torch.func`
    computes them in forward mode, forward over reverse and forward over forward, are those of
    central differences; and the caller's module stays as it was. The door of `Manifold` holds the
    derivatives against the same laws, at points drawn from N(0, I).

    Args:
        decoder: z -> p(x|z): a module or a function.
        points: where to try it, shape `(n, d)`; draws from N(0, I) if None.
        dim: the latent dimension d; read off the decoder's `latent_dim` if it has one.
        rtol: by what share of their size derivatives may differ from those of differences.

    Raises:
        AssertionError: a law is broken; the message says which and by how much.
        InvalidDataError: the decoder does not pass the door, see `Decoder`.

    Example:
        >>> check_decoder(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 5)), dim=2)
    """
    dim = read_dim(decoder, dim)
    before = _state(decoder)
    prepared = prepare_decoder(decoder, dim=dim)

    def f(z: Tensor) -> Tensor:
        return flatten_output(prepared(z))

    z = probes(torch.zeros(dim, dtype=torch.float64), 8) if points is None else points.double()
    check_images(f, z.mean(0))
    with torch.no_grad():
        _check_rows(f, z)
        _check_shapes(prepared, z)
        _check_derivatives(f, z, rtol)
    _hold("the module of the caller stays as it was", _distance(before, _state(decoder)), 0.0)


def _check_rows(f: Map, z: Tensor) -> None:
    value = f(z)
    alone = torch.cat([f(row) for row in z.split(1)])
    turned = f(z.flip(0)).flip(0)
    size = float(value.abs().max())
    _hold("batch == loop", (value - alone).abs().max(), _SAME * size)
    _hold("rows keep their order", (value - turned).abs().max(), _SAME * size)


def _check_shapes(decoder: Callable[[Tensor], Any], z: Tensor) -> None:
    """The leading dimensions of z come first in the output, even if the decoder takes rows only."""
    wrapped = Decoder(decoder, latent_dim=z.shape[-1], check=False)
    flat, shaped = wrapped(z), wrapped(torch.stack([z, z.flip(0)]))
    rows = flatten_output(flat)
    both = flatten_output(map_output(lambda x: x.flatten(0, 1), shaped)).reshape(2, *rows.shape)
    law = "leading dimensions of z come first in the output"
    _hold(law, (both[0] - rows).abs().max(), _SAME * float(rows.abs().max()))
    _hold(law, (both[1].flip(0) - rows).abs().max(), _SAME * float(rows.abs().max()))


def _check_derivatives(f: Map, z: Tensor, rtol: float) -> None:
    spread = float(z.std()) if z.numel() > 1 else 1.0
    for breach in broken_laws(f, z, spread=max(spread, _LEAST), share=rtol):
        _hold(breach.law, breach.error, breach.allowed)


def _hold(law: str, error: Tensor | float, limit: Tensor | float) -> None:
    if not float(error) <= float(limit):  # and not `error > limit`, which NaN would pass
        raise AssertionError(
            f"The decoder breaks the law {law!r}: off by {float(error):.3g}, allowed are "
            f"{float(limit):.3g}."
        )


def _state(decoder: object) -> list[Tensor]:
    if not isinstance(decoder, nn.Module):
        return []
    modes = torch.tensor([float(module.training) for module in decoder.modules()])
    return [modes, *(value.detach().clone() for value in decoder.state_dict().values())]


def _distance(before: list[Tensor], after: list[Tensor]) -> float:
    pairs = zip(before, after, strict=True)
    same = all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)
    return 0.0 if same else float("inf")
