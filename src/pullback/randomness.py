"""Random draws that leave the global random state as they found it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from pullback.exclusive import exclusive

__all__ = ["draw", "seed_from", "seeded"]


def seed_from(*words: int) -> int:
    """Mix non-negative integers into one seed, so that nearby words give unrelated streams.

    Args:
        words: integers >= 0, such as (random_state, stage, epoch).

    Returns:
        A seed of 63 bits.

    Example:
        >>> seed_from(0, 1) == seed_from(0, 1), seed_from(0, 1) == seed_from(1, 0)
        (True, False)
    """
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Seed torch's global generators within a `with` block, and restore them after it.

    All threads draw from them, so no other enters such a block, or `draw`s, before this one ends.

    Args:
        seed: the seed.
        device: the device whose generator is used besides the CPU's; no other is touched.

    Example:
        >>> with seeded(0):
        ...     first = torch.randn(2)
        >>> with seeded(0):
        ...     bool((torch.randn(2) == first).all())
        True
    """
    device = torch.device(device)
    forked = [device] if device.type == "cuda" else []
    with exclusive(), torch.random.fork_rng(devices=forked, device_type="cuda"):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def draw(
    distribution: Distribution,
    shape: Sequence[int] = (),
    generator: torch.Generator | None = None,
) -> Tensor:
    """Sample from any distribution, reparametrised where it can be, under a generator.

    Distributions of torch take no generator, so one number of the given generator seeds torch's
    own for the length of the draw; its state is restored afterwards.

    Args:
        distribution: what to draw from.
        shape: sample shape S.
        generator: the source of randomness; torch's global one if None.

    Returns:
        Draws of shape (*S, *batch, *event); gradients flow through if `has_rsample`.

    Example:
        >>> normal = torch.distributions.Normal(torch.zeros(2), 1.0)
        >>> draw(normal, (3,), torch.Generator().manual_seed(0)).shape
        torch.Size([3, 2])
    """
    sample = distribution.rsample if distribution.has_rsample else distribution.sample
    if generator is None:
        with exclusive():
            return sample(torch.Size(shape))
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with seeded(seed, _device_of(distribution)):
        return sample(torch.Size(shape))


def _device_of(distribution: Distribution) -> torch.device:
    for value in vars(distribution).values():
        if isinstance(value, Tensor):
            return value.device
        if isinstance(value, Distribution):
            return _device_of(value)
    return torch.device("cpu")
