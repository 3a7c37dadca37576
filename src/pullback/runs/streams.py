"""Streams of random numbers: what is drawn for one purpose is independent of all other draws."""

from enum import IntEnum, unique

import numpy as np

__all__ = ["Stream"]


@unique
class Stream(IntEnum):
    """What the numbers drawn from the seed of a run are for: each purpose has a stream of its own.

    A number never changes, for with it would change the report of a run that is measured again. A
    new purpose gets a new number.

    Attributes:
        SAMPLES: which samples are measured, the same in a report and in an analysis of as many; in
            a report then also which pairs of them.
        GRAPH: which training codes the graph of distances runs through.
        PROBES: random places of the latent space, to see what is decoded far from data.
        DENSITY: which training codes a density is fitted to.
        PAIRS: which pairs of samples an analysis joins by geodesics.
        WALKS: where random walks and chains start. Both a report and an analysis take it, but
            never one and the same computation.
        MATCHES: in which order draws of a density are shown.

    Example:
        >>> Stream.GRAPH.generator(0).random() == Stream.GRAPH.generator(0).random()
        True
        >>> Stream.GRAPH.generator(0).random() == Stream.PROBES.generator(0).random()
        False
    """

    SAMPLES = 1
    GRAPH = 2
    PROBES = 3
    DENSITY = 4
    PAIRS = 5
    WALKS = 6
    MATCHES = 7

    def generator(self, seed: int) -> np.random.Generator:
        """Return a new generator at the beginning of this stream, for the seed of a run."""
        return np.random.default_rng([seed, self.value])
