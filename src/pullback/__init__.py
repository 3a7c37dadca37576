"""The true geometry of a generative model's latent space.

A trained decoder pulls the geometry of its data space back to the latent space: a Riemannian metric
M(z), and with it lengths, geodesics, distances, means and clusters that mean something there.

    import pullback as pb

    X, y = pb.datasets.mnist(digits=(0, 1, 7))
    vae = pb.models.VAE(data_dim=784, latent_dim=2)
    vae.fit(X)
    Z = vae.encode(X)

    M = pb.Manifold(vae)
    path = M.geodesic(Z[:100], Z[100:200])
    path.length, path.converged

The submodules are loaded when they are first used, so that `import pullback` itself is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pullback.version import __version__

if TYPE_CHECKING:
    from pullback import (
        adapters,
        curves,
        datasets,
        errors,
        geodesics,
        manifolds,
        metrics,
        models,
        plots,
        sampling,
        statistics,
        testing,
    )
    from pullback.explorer import explore, explore_in_notebook, export_page
    from pullback.manifolds import Manifold
    from pullback.models import Decoder, load

__all__ = [
    "Decoder",
    "Manifold",
    "__version__",
    "adapters",
    "curves",
    "datasets",
    "errors",
    "explore",
    "explore_in_notebook",
    "export_page",
    "geodesics",
    "load",
    "manifolds",
    "metrics",
    "models",
    "plots",
    "sampling",
    "statistics",
    "testing",
]

_HOMES = {
    "Decoder": "pullback.models",
    "Manifold": "pullback.manifolds",
    "explore": "pullback.explorer",
    "explore_in_notebook": "pullback.explorer",
    "export_page": "pullback.explorer",
    "load": "pullback.models",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in __all__:
        value = import_module(f"pullback.{name}")
    else:
        raise AttributeError(f"module 'pullback' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
