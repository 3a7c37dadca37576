"""Models and data of other packages made ours, and our manifolds made theirs.

Each module imports the package that it adapts only when one of its functions is called.
"""

from pullback.adapters.anndata import write_distances
from pullback.adapters.exported import from_exported
from pullback.adapters.geomstats import GeomstatsMetric, GeomstatsSpace, as_geomstats_metric
from pullback.adapters.pythae import from_pythae, rhvae_metric
from pullback.adapters.scvi import from_scvi

__all__ = [
    "GeomstatsMetric",
    "GeomstatsSpace",
    "as_geomstats_metric",
    "from_exported",
    "from_pythae",
    "from_scvi",
    "rhvae_metric",
    "write_distances",
]
