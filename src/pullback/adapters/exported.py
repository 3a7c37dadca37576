"""Programs that torch.export wrote: decoders without their Python source."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.exclusive import exclusive
from pullback.models import Decoder
from pullback.models.likelihoods import Likelihood

__all__ = ["from_exported"]


def from_exported(
    program: Any,
    likelihood: str | Likelihood | Callable[[Any], Any] | None = None,
    *,
    latent_dim: int,
    output: Any = None,
) -> Decoder:
    """Take a program of `torch.export` as a decoder: `torch.func` differentiates it as a module.

    It must take points `(n, d)` for every n, so export it with
    `dynamic_shapes=({0: torch.export.Dim("n")},)`. A TorchScript program is refused: from its
    second call on, PyTorch's optimised executor returns wrong forward-mode derivatives for it,
    and says nothing.

    Args:
        program: the `ExportedProgram` that `torch.export.export` returned or `torch.export.load`
            read.
        likelihood: how its output is read, see `Decoder`.
        latent_dim: the latent dimension d.
        output: the part of its output that counts, see `Decoder`.

    Returns:
        The decoder.

    Raises:
        InvalidParameterError: it is a TorchScript program, or no program at all.
        InvalidDataError: it takes one size of batch only, or is broken: see `Decoder`.

    Example:
        >>> network, n = nn.Sequential(nn.Linear(2, 5), nn.Tanh()), torch.export.Dim("n")
        >>> program = torch.export.export(
        ...     network, (torch.zeros(4, 2),), dynamic_shapes=({0: n},)
        ... )
        >>> from_exported(program, latent_dim=2)(torch.zeros(7, 3, 2)).shape
        torch.Size([7, 3, 5])
    """
    if isinstance(program, torch.jit.ScriptModule | torch.jit.ScriptFunction):
        raise InvalidParameterError(
            "program",
            "a `torch.export` program",
            "a TorchScript program, whose forward-mode derivatives PyTorch gets wrong",
            "Give the `nn.Module` that it was made from, or export that by `torch.export.export`.",
        )
    if not isinstance(program, torch.export.ExportedProgram):
        raise InvalidParameterError(
            "program", "a `torch.export` program", f"a {type(program).__name__}"
        )
    network = _Program(program.module())
    network.try_batches(latent_dim)
    return Decoder(network, likelihood, latent_dim=latent_dim, output=output)


class _Program(nn.Module):
    """A program that is called like a module: it has no modes to switch between."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.graph = graph
        self.training = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Program":
        with exclusive(), warnings.catch_warnings():
            # PyTorch's copy of a program makes objects of a class that it has deprecated.
            warnings.simplefilter("ignore", FutureWarning)
            return _Program(copy.deepcopy(self.graph, memo))

    def forward(self, z: Tensor) -> Any:
        return self.graph(z)

    def train(self, mode: bool = True) -> "_Program":
        """Do nothing: the mode was fixed when the program was exported."""
        del mode
        return self

    def try_batches(self, latent_dim: int) -> None:
        like = next(self.parameters(), torch.zeros(()))
        for n in (1, 2, 7):
            try:
                with torch.no_grad():
                    self(like.new_zeros(n, latent_dim))
            except Exception as error:
                raise InvalidDataError(
                    f"`program` must take points (n, {latent_dim}) for every n, but failed for "
                    f"n = {n}: {error} Export the model again with "
                    '`dynamic_shapes=({0: torch.export.Dim("n")},)`.'
                ) from error
