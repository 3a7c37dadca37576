"""The output of a decoder: a tensor, a distribution, or a tuple, list or dict of these."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    MixtureSameFamily,
    TransformedDistribution,
)

from pullback.errors import InvalidDataError
from pullback.shapes import Ambient

__all__ = ["check_output", "distributions_in", "flatten_output", "map_output", "parameters_of"]


def flatten_output(output: Any) -> Ambient:
    """Put every number that describes p(x|z) into one row for each point.

    Args:
        output: what a decoder returned for points `(n, d)`: a tensor `(n, ...)`, a distribution
            with batch shape `(n, ...)`, or a tuple, list or dict of these.

    Returns:
        The numbers, shape `(n, m)`.

    Raises:
        InvalidDataError: there is something else in it.

    Example:
        >>> from torch.distributions import Normal
        >>> mean = torch.zeros(5, 2, 3)
        >>> flatten_output((mean, Normal(mean, mean + 1))).shape
        torch.Size([5, 18])
    """
    return torch.cat([part.reshape(len(part), -1) for part in _tensors(output)], -1)


def check_output(output: Any, n: int) -> None:
    """Look whether a decoder returned real numbers for each of n points, and nothing else.

    Args:
        output: what it returned for points `(n, d)`.
        n: the number of points.

    Raises:
        InvalidDataError: a part of the output is something else; the message says which.

    Example:
        >>> check_output({"mean": torch.zeros(5, 3)}, 5)
    """
    for place, part in _parts(output, ""):
        named = f"its part `{place}` is" if place else "it returned"
        if isinstance(part, Distribution):
            shape, kind = (*part.batch_shape, *part.event_shape), type(part).__name__
        elif isinstance(part, Tensor):
            shape, kind = tuple(part.shape), "tensor"
            if part.is_complex():
                raise InvalidDataError(
                    f"`decoder` must return real numbers, but {named} a tensor of {part.dtype}. "
                    "Return real and imaginary parts side by side, as by `torch.view_as_real`."
                )
        else:
            raise _unknown(part, place)
        if shape[:1] != (n,):
            raise InvalidDataError(
                f"`decoder` must return one row for each point, but of {n} points {named} a {kind} "
                f"of shape {shape}. Keep the batch first, and choose the parts that describe x, "
                "not a loss, with `pb.Decoder(model, output=...)`: a key, an index or a function."
            )
        if 0 in shape:
            raise InvalidDataError(
                f"`decoder` must return at least one number for each point, but {named} a {kind} "
                f"of shape {shape}."
            )


def _parts(output: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(output, Mapping):
        for key, part in output.items():
            yield from _parts(part, f"{place}[{key!r}]")
    elif isinstance(output, tuple | list):
        for i, part in enumerate(output):
            yield from _parts(part, f"{place}[{i}]")
    else:
        yield place, output


def parameters_of(distribution: Distribution) -> dict[str, Tensor]:
    """Return the parameters that a distribution can be built of again, by their names.

    Example:
        >>> from torch.distributions import Bernoulli
        >>> parameters_of(Bernoulli(logits=torch.zeros(2)))
        {'logits': tensor([0., 0.])}
    """
    named = list(distribution.arg_constraints)
    given = [name for name in named if name in vars(distribution)] or named
    # PyTorch computes `probs` from `logits`, or the other way round, when it is first asked for,
    # and keeps it beside what was given. Either says all, so `logits` is taken.
    chosen = [name for name in given if name != "probs" or "logits" not in given]
    matrices = [name for name in chosen if name in _MATRICES]
    return {name: getattr(distribution, name) for name in chosen if name not in set(matrices[1:])}


# The three ways of PyTorch to give a multivariate normal distribution its covariance.
_MATRICES = ("scale_tril", "covariance_matrix", "precision_matrix")


def map_output(f: Callable[[Tensor], Tensor], output: Any) -> Any:
    """Build an output again of its tensors changed by a function.

    Args:
        f: what becomes of each tensor, such as a change of its leading dimensions.
        output: see `flatten_output`.

    Returns:
        An output of the same structure.

    Raises:
        InvalidDataError: there is something else in it.

    Example:
        >>> from torch.distributions import Normal
        >>> map_output(lambda x: x[0], {"x": Normal(torch.zeros(4, 3), 1.0)})
        {'x': Normal(loc: torch.Size([3]), scale: torch.Size([3]))}
    """
    if isinstance(output, Tensor):
        return f(output)
    if isinstance(output, Independent):
        base = map_output(f, output.base_dist)
        return Independent(base, output.reinterpreted_batch_ndims, validate_args=False)
    if isinstance(output, MixtureSameFamily):
        weights = map_output(f, output.mixture_distribution)
        components = map_output(f, output.component_distribution)
        return MixtureSameFamily(weights, components, validate_args=False)
    if isinstance(output, TransformedDistribution) and not output.arg_constraints:
        base = map_output(f, output.base_dist)
        return TransformedDistribution(base, output.transforms, validate_args=False)
    if isinstance(output, Distribution):
        if not parameters_of(output):
            raise _unknown(output)
        family: Any = type(output)
        changed = {name: f(value) for name, value in parameters_of(output).items()}
        return family(**changed, validate_args=False)
    if isinstance(output, dict):
        return {key: map_output(f, part) for key, part in output.items()}
    if isinstance(output, (tuple, list)):
        return tuple(map_output(f, part) for part in output)
    raise _unknown(output)


def distributions_in(output: Any) -> Iterator[Distribution]:
    """Yield the distributions that an output is made of, down to those with parameters.

    Example:
        >>> from torch.distributions import Normal
        >>> list(distributions_in({"x": Independent(Normal(torch.zeros(2, 3), 1.0), 1)}))
        [Normal(loc: torch.Size([2, 3]), scale: torch.Size([2, 3]))]
    """
    if isinstance(output, Independent):
        yield from distributions_in(output.base_dist)
    elif isinstance(output, MixtureSameFamily):
        yield from distributions_in(output.mixture_distribution)
        yield from distributions_in(output.component_distribution)
    elif isinstance(output, TransformedDistribution) and not output.arg_constraints:
        yield from distributions_in(output.base_dist)
    elif isinstance(output, Distribution):
        yield output
    elif isinstance(output, dict):
        for part in output.values():
            yield from distributions_in(part)
    elif isinstance(output, (tuple, list)):
        for part in output:
            yield from distributions_in(part)


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Distribution):
        for distribution in distributions_in(output):
            parameters = parameters_of(distribution)
            if not parameters:
                raise _unknown(distribution)
            yield from parameters.values()
    elif isinstance(output, dict):
        for part in output.values():
            yield from _tensors(part)
    elif isinstance(output, (tuple, list)):
        for part in output:
            yield from _tensors(part)
    else:
        raise _unknown(output)


def _unknown(output: object, place: str = "") -> InvalidDataError:
    named = f"its part `{place}` is" if place else "it returned"
    return InvalidDataError(
        "`decoder` must return a tensor, a torch distribution with parameters, or a tuple, list or "
        f"dict of these, but {named} a {type(output).__name__}. Choose the part that counts "
        "with `pb.Decoder(model, output=...)`: a key, an index or a function, such as "
        "`lambda output: output.mean`."
    )
