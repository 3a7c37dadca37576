"""The decoder p(x|z): any model, and how to read what it returns."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent

from pullback.errors import InvalidDataError, InvalidParameterError, check_choice, check_integer
from pullback.models.decoding.copying import copy_module
from pullback.models.decoding.door import (
    attempt,
    check_map,
    check_parameters,
    probes,
    warn_of_kinks,
)
from pullback.models.decoding.output import check_output, flatten_output, map_output
from pullback.models.decoding.preparation import as_model, is_method, prepare_decoder
from pullback.models.likelihoods import Likelihood
from pullback.models.likelihoods.readings import READINGS, read
from pullback.shapes import Latent

__all__ = ["Decoder"]


class Decoder(nn.Module):
    """The decoder z -> p(x|z): a model, and a likelihood to read its output.

    It works under `torch.func` (`vmap`, `jvp`, and both nested), which the geometry is built on.
    The model sees points as one batch `(n, d)`, whatever the leading dimensions of z.

    Args:
        model: maps z `(n, d)` to a tensor `(n, ...)`, a distribution, or a tuple or dict of these:
            a module, a method of a module, or a function.
        likelihood: how the output is read: None as it is; one of the names of `READINGS`, such as
            `"normal"` for (mean, std), `"bernoulli"` for logits, `"poisson"` for rates; a function
            from the output to a distribution; or a `Likelihood`.
        latent_dim: the latent dimension d; read off the `latent_dim` of the model, or of the owner
            of the method, or off the model's first linear layer, if not given.
        inputs: what else the model takes, fixed once: a dict of keyword arguments or a sequence of
            positional ones after z. The first dimension of tensors and arrays is for points: of
            one with first dimension 1, each point gets the row.
        output: the part of the output that counts: a key, an index, a tuple of them, or a function.
        check: look at the model at the door; False for one that is still to be trained.

    Attributes:
        latent_dim: the latent dimension d.
        data_dim: the data dimension D, the number of entries of one observation.

    Raises:
        InvalidParameterError: the latent dimension is neither given nor to be read off, the
            likelihood is unknown, or a dropout or batch-norm layer is in training mode.
        InvalidDataError: the output is not finite, not differentiable in z, not deterministic, not
            row by row, does not depend on z, or is none that the likelihood can read.

    Warns:
        SmoothnessWarning: the model is not twice differentiable, as with ReLU.

    Source:
        Arvanitidis, Gonzalez-Duque, Pouplin, Kalatzis, Hauberg, Pulling back information geometry
        (2022): a decoder as a map into the parameters of any likelihood.

    Example:
        >>> network = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 5))
        >>> decoder = Decoder(network, "bernoulli")
        >>> decoder(torch.zeros(3, 2)).mean.shape, decoder.data_dim
        (torch.Size([3, 5]), 5)
    """

    def __init__(
        self,
        model: nn.Module | Callable[..., Any],
        likelihood: str | Likelihood | Callable[[Any], Any] | None = None,
        *,
        latent_dim: int | None = None,
        inputs: Mapping[str, Any] | Sequence[Any] | None = None,
        output: Any = None,
        check: bool = True,
    ) -> None:
        super().__init__()
        self.mean = as_model(model)
        self.likelihood = _check_likelihood(likelihood)
        self._output = output
        self._inputs = _Inputs(inputs)
        if latent_dim is None:
            latent_dim = _read_latent_dim(self.mean, guess=not inputs)
        self.latent_dim = check_integer("latent_dim", latent_dim)
        self.data_dim = self._probe_data_dim()
        if check:
            self._check()

    def forward(self, z: Latent) -> Any:
        """Return p(x|z) for latent points `(*batch, d)`: what the likelihood makes of the model."""
        batch = z.shape[:-1]
        flat = z.reshape(-1, z.shape[-1])
        args, kwargs = self._inputs.of(len(flat))
        output = _select(self.mean(flat, *args, **kwargs), self._output)
        if len(batch) != 1:
            output = map_output(lambda x: x.reshape(*batch, *x.shape[1:]), output)
        if isinstance(self.likelihood, Likelihood):
            return self.likelihood(output, z)
        if isinstance(self.likelihood, str):
            return read(output, self.likelihood, n_batch=len(batch))
        return output if self.likelihood is None else self.likelihood(output)

    def _check(self) -> None:
        """Look at every number that describes p(x|z), as a function of z in double precision."""
        origin = torch.zeros(self.latent_dim, dtype=torch.float64, device=self._like().device)
        twin = prepare_decoder(self, dim=self.latent_dim)
        noise = probes(origin, 64)
        with torch.no_grad():
            output = attempt(lambda: twin(noise), "be evaluated", noise)
        check_output(output, len(noise))
        check_parameters(output)
        check_map(partial(_flat_output, twin), origin)
        warn_of_kinks(partial(_flat_output, twin), origin)

    def _like(self) -> Tensor:
        """A tensor in the precision of the model and where it is; double where it holds none."""
        own = [part for part in (self.mean, self.likelihood) if isinstance(part, nn.Module)]
        held = [t for part in own for t in (*part.parameters(), *part.buffers())]
        return next(
            (t for t in held if t.is_floating_point()), torch.zeros((), dtype=torch.float64)
        )

    def _probe_data_dim(self) -> int:
        z = self._like().new_zeros(1, self.latent_dim)
        # A copy is called, as a model may keep what it computes.
        twin = copy_module(self).eval()
        with torch.no_grad():
            output = attempt(lambda: twin(z), "be evaluated", z)
        check_output(output, 1)
        if isinstance(output, Distribution):
            shape = output.event_shape if output.event_shape else output.batch_shape[1:]
            base = output.base_dist if isinstance(output, Independent) else output
            classes = base.logits.shape[-1] if isinstance(base, Categorical) else 1
            return math.prod(shape) * classes
        return int(flatten_output(output).shape[-1])


class _Inputs(nn.Module):
    """What a model takes besides z, on its device and in its precision."""

    def __init__(self, inputs: Mapping[str, Any] | Sequence[Any] | None) -> None:
        super().__init__()
        named = dict(inputs) if isinstance(inputs, Mapping) else {}
        listed = [] if inputs is None or named or isinstance(inputs, Mapping) else list(inputs)
        self._names = list(named)
        self._values: list[Any] = []
        for i, value in enumerate([*listed, *named.values()]):
            value = torch.as_tensor(value) if isinstance(value, np.ndarray) else value
            tensor = isinstance(value, Tensor)
            self._values.append(None if tensor else value)
            if tensor:
                self.register_buffer(f"input_{i}", value, persistent=False)

    def of(self, n: int) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and the keyword arguments for n points."""
        values = []
        for i, value in enumerate(self._values):
            tensor = getattr(self, f"input_{i}", None)
            if tensor is None:
                values.append(value)
            else:
                repeated = tensor.ndim > 0 and len(tensor) == 1
                values.append(tensor.expand(n, *tensor.shape[1:]) if repeated else tensor)
        first = len(values) - len(self._names)
        return values[:first], dict(zip(self._names, values[first:], strict=True))


def _check_likelihood(likelihood: Any) -> Any:
    if isinstance(likelihood, str):
        check_choice("likelihood", likelihood, READINGS)
    elif likelihood is not None and not callable(likelihood):
        allowed = f"None, a function of the output, or one of {', '.join(READINGS)}"
        raise InvalidParameterError("likelihood", allowed, f"a {type(likelihood).__name__}")
    return likelihood


def _select(output: Any, part: Any) -> Any:
    if part is None:
        return output
    if callable(part):
        return part(output)
    if isinstance(part, tuple):
        return tuple(_select(output, one) for one in part)
    try:
        return output[part]
    except (KeyError, IndexError, TypeError) as error:
        keys = f"keys {list(output)}" if isinstance(output, Mapping) else f"{type(output).__name__}"
        raise InvalidDataError(
            f"`output={part!r}` must name a part of what the model returns, but that is of {keys}."
        ) from error


def _flat_output(decoder: Callable[[Tensor], Any], z: Tensor) -> Tensor:
    return flatten_output(decoder(z))


def _read_latent_dim(model: Any, *, guess: bool) -> int:
    own = getattr(model.owner if is_method(model) else model, "latent_dim", None)
    if isinstance(own, int):
        return own
    # The first linear layer tells, if a guess is allowed: it may belong to an encoder beside the
    # decoder, or take other inputs too.
    guess = guess and isinstance(model, nn.Module) and not is_method(model)
    for module in model.modules() if guess else ():
        if isinstance(module, nn.Linear):
            return module.in_features
    raise InvalidParameterError(
        "latent_dim",
        "given where the model neither says it nor begins with a linear layer of z alone",
        None,
    )
