"""Riemannian metrics on a latent space."""

from pullback.metrics.ambient import (
    AmbientMetric,
    ConstantMatrix,
    CostField,
    FlatMetric,
    MatrixField,
    WeightField,
    Weights,
)
from pullback.metrics.base import ChordExpansion, EndExpansion, Metric
from pullback.metrics.choice import metric_of
from pullback.metrics.composite import ScaledMetric, SumMetric
from pullback.metrics.conformal import ConformalMetric
from pullback.metrics.diagonal import DiagonalMetric
from pullback.metrics.enriched import with_ambient
from pullback.metrics.ensemble import DecorrelatedEnergy, EnsembleMetric
from pullback.metrics.field import FieldMetric
from pullback.metrics.fisher_information import (
    StatisticalModel,
    fisher_information,
    statistical_model,
)
from pullback.metrics.fisher_rao import FisherRaoMetric
from pullback.metrics.immersions import immersion, output_mean
from pullback.metrics.information_blocks import BlockInformation
from pullback.metrics.kl import KLMetric, symmetric_divergence
from pullback.metrics.local_variance import LocalVarianceMetric
from pullback.metrics.pullback import PullbackMetric
from pullback.metrics.restricted import RestrictedMetric
from pullback.metrics.rhvae import RHVAEMetric
from pullback.metrics.tabulated import TabulatedMetric

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
