"""The claims that can be measured again, by the name of each: a module for each kind."""

from pullback.reproduction.claim import Claim
from pullback.reproduction.claims.computation.energy_ranks import ENERGY_RANKS
from pullback.reproduction.claims.computation.kl_metric import KL_METRIC
from pullback.reproduction.claims.computation.means import MEANS
from pullback.reproduction.claims.computation.solvers import SOLVERS
from pullback.reproduction.claims.expectation.circle import CIRCLE
from pullback.reproduction.claims.expectation.finsler import FINSLER
from pullback.reproduction.claims.expectation.variance import VARIANCE
from pullback.reproduction.claims.motion.arm import ARM
from pullback.reproduction.claims.motion.pendulum import PENDULUM
from pullback.reproduction.claims.oddity.ablation import ABLATION, BEYOND
from pullback.reproduction.claims.oddity.clustering import CLUSTERING
from pullback.reproduction.claims.oddity.convolutional import CONVOLUTIONAL
from pullback.reproduction.claims.oddity.densities import DENSITIES
from pullback.reproduction.claims.oddity.deviation import DEVIATION
from pullback.reproduction.claims.oddity.frames import FRAMES
from pullback.reproduction.claims.oddity.interpolation import INTERPOLATION
from pullback.reproduction.claims.oddity.likelihood import LIKELIHOOD
from pullback.reproduction.claims.oddity.walks import WALKS
from pullback.reproduction.claims.stability.retraining import STABILITY

__all__ = ["CLAIMS"]

CLAIMS: dict[str, Claim] = {
    claim.key: claim
    for claim in [
        *CLUSTERING,
        CONVOLUTIONAL,
        ABLATION,
        BEYOND,
        LIKELIHOOD,
        INTERPOLATION,
        DENSITIES,
        WALKS,
        FRAMES,
        DEVIATION,
        CIRCLE,
        VARIANCE,
        FINSLER,
        PENDULUM,
        ARM,
        *STABILITY,
        KL_METRIC,
        ENERGY_RANKS,
        *SOLVERS,
        MEANS,
    ]
}
