"""Random walks and draws in a curved latent space."""

from pullback.sampling.along import GeodesicTube
from pullback.sampling.base import ChainState, Sampler
from pullback.sampling.brownian import BrownianMotion, brownian_drift
from pullback.sampling.chains.hamiltonian import Hamiltonian
from pullback.sampling.chains.langevin import Langevin
from pullback.sampling.chains.metropolis import MetropolisSampler
from pullback.sampling.chains.target import Target
from pullback.sampling.diagnostics import Diagnostics, effective_sample_size, r_hat
from pullback.sampling.excursion import excursions, matched_step
from pullback.sampling.generation import SupportSampler
from pullback.sampling.heat_kernel import HeatKernel
from pullback.sampling.independent import IndependentSampler
from pullback.sampling.samples import ChainStatus, Samples
from pullback.sampling.support import Support
from pullback.sampling.volume import VolumeSampler

__all__ = [
    "BrownianMotion",
    "ChainState",
    "ChainStatus",
    "Diagnostics",
    "GeodesicTube",
    "Hamiltonian",
    "HeatKernel",
    "IndependentSampler",
    "Langevin",
    "MetropolisSampler",
    "Sampler",
    "Samples",
    "Support",
    "SupportSampler",
    "Target",
    "VolumeSampler",
    "brownian_drift",
    "effective_sample_size",
    "excursions",
    "matched_step",
    "r_hat",
]
