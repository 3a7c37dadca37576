"""Names for the shapes of the field's objects, checked at run time in the tests.

Every array may carry leading batch dimensions, `*batch`. The letters are those of the literature:
`d` latent dimension, `D` data dimension, `m` dimension of the immersion, `n` number of samples.
"""

import warnings

from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = [
    "Ambient",
    "Codes",
    "Data",
    "Jacobian",
    "Latent",
    "Mask",
    "MetricMatrix",
    "Nodes",
    "Pairs",
    "Points",
    "Scalars",
    "StatusCodes",
    "Tangent",
]

Latent = Float[Tensor, "*batch d"]
"""Points z of the latent space."""
Tangent = Float[Tensor, "*batch d"]
"""Tangent vectors at points of the latent space."""
Ambient = Float[Tensor, "*batch m"]
"""Images of latent points under an immersion."""
Jacobian = Float[Tensor, "*batch m d"]
"""Derivatives of an immersion."""
MetricMatrix = Float[Tensor, "*batch d d"]
"""Riemannian metrics M(z) in the coordinates of the latent space."""
Points = Float[Tensor, "*batch points d"]
"""Points along curves."""
Scalars = Float[Tensor, "*batch"]
"""One number for each element of a batch: a length, an energy, a log-volume."""
Mask = Bool[Tensor, "*batch"]
"""One truth value for each element of a batch."""
StatusCodes = Int[Tensor, "*batch"]
"""One status code for each element of a batch."""
Data = Float[Tensor, "*batch D"]
"""Observations x."""
Codes = Float[Tensor, "n d"]
"""Latent codes of a data set, one a row."""
Nodes = Float[Tensor, "nodes d"]
"""Another set of latent points, one a row: the nodes of a graph, the centres of clusters."""
Pairs = Int[Tensor, "k 2"]
"""Pairs of indices into a set of points: the edges of a graph."""


def __getattr__(name: str) -> object:
    """Return what has another name now."""
    if name == "Status":
        warnings.warn(
            "`pullback.shapes.Status` is `pullback.shapes.StatusCodes` now.",
            DeprecationWarning,
            stacklevel=2,
        )
        return StatusCodes
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
