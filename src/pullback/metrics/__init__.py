"""Riemannian metrics on a latent space."""

from pullback.metrics.ambient.base import (
    AmbientMetric,
    ConstantMatrix,
    CostField,
    FlatMetric,
    MatrixField,
    WeightField,
    Weights,
)
from pullback.metrics.ambient.field import FieldMetric
from pullback.metrics.base import Metric
from pullback.metrics.choice import metric_of
from pullback.metrics.chords import ChordExpansion, EndExpansion
from pullback.metrics.composite import ScaledMetric, SumMetric
from pullback.metrics.enriched import with_ambient
from pullback.metrics.ensemble import DecorrelatedEnergy, EnsembleMetric
from pullback.metrics.explicit.conformal import ConformalMetric
from pullback.metrics.explicit.diagonal import DiagonalMetric
from pullback.metrics.explicit.local_variance import LocalVarianceMetric
from pullback.metrics.explicit.rhvae import RHVAEMetric
from pullback.metrics.immersions import immersion, output_mean
from pullback.metrics.information.fisher_information import (
    StatisticalModel,
    fisher_information,
    statistical_model,
)
from pullback.metrics.information.fisher_rao import FisherRaoMetric
from pullback.metrics.information.information_blocks import BlockInformation
from pullback.metrics.information.kl import KLMetric, symmetric_divergence
from pullback.metrics.pullback import PullbackMetric
from pullback.metrics.restricted import RestrictedMetric
from pullback.metrics.tables.tabulated import TabulatedMetric

__all__ = [
    "AmbientMetric",
    "BlockInformation",
    "ChordExpansion",
    "ConformalMetric",
    "ConstantMatrix",
    "CostField",
    "DecorrelatedEnergy",
    "DiagonalMetric",
    "EndExpansion",
    "EnsembleMetric",
    "FieldMetric",
    "FisherRaoMetric",
    "FlatMetric",
    "KLMetric",
    "LocalVarianceMetric",
    "MatrixField",
    "Metric",
    "PullbackMetric",
    "RHVAEMetric",
    "RestrictedMetric",
    "ScaledMetric",
    "StatisticalModel",
    "SumMetric",
    "TabulatedMetric",
    "WeightField",
    "Weights",
    "fisher_information",
    "immersion",
    "metric_of",
    "output_mean",
    "statistical_model",
    "symmetric_divergence",
    "with_ambient",
]
