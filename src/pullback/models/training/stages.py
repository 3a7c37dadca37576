"""The two-stage recipe: first encoder and mean under a constant variance, then the precision.

A variance that is free from the start would explain away what the mean has yet to learn, so the
mean is trained under a constant one, and sigma(z) afterwards, with everything else frozen.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pullback.models.decoding.decoder import Decoder
from pullback.models.ensemble import EnsembleDecoder
from pullback.models.likelihoods.normal import NormalLikelihood, build_std
from pullback.models.likelihoods.std.precision import ConstantStd, NetworkStd, RBFPrecision
from pullback.models.likelihoods.std.precision_fit import fit_centers, fit_weights, regress_weights
from pullback.models.model import LatentVariableModel
from pullback.models.training.shrinkage import (
    CAUTIOUS,
    SHRINKAGES,
    held_out_log_marginal,
    set_apart,
)
from pullback.randomness import draw, seeded

__all__ = ["Recipe", "Stage"]

# Draws of z ~ q(z|x) for each sample x, to whose residuals the precision is fitted: with one, the
# fit would see each code at one place only.
_DRAWS = 4
# Rows of residuals that one sample gives: those of its draws, and of its mean code.
_ROWS = _DRAWS + 1
# Samples whose residuals are computed at once.
_BLOCK = 1024


@dataclass(frozen=True)
class Stage:
    """What is trained by gradients: the parameters, by the ELBO under this decoder.

    Attributes:
        name: `"mean"` or `"std"`.
        decoder: z -> p(x|z).
        parameters: what the optimiser steps on; all else is frozen.

    Example:
        >>> network = nn.Linear(2, 3)
        >>> Stage("mean", network, list(network.parameters())).name
        'mean'
    """

    name: str
    decoder: nn.Module
    parameters: list[nn.Parameter]


class Recipe:
    """The stages that train a model, and every module that takes part in them.

    A model of custom modules, with a likelihood without a variance, or with an ensemble of decoders
    has the one stage `"mean"`, in which everything is trained.

    Args:
        vae: the model.
        precision_fit: `"likelihood"`, or `"regression"` onto a variance network trained before.

    Attributes:
        modules: the model, and what is only needed while it is trained; its state dict is the
            state of the run.
        stages: the stages trained by gradients, in order.
        rbf: the precision that is fitted after them, or None.

    Example:
        >>> from pullback.models import VAE
        >>> [stage.name for stage in Recipe(VAE(5, 2, std="network")).stages]
        ['mean', 'std']
    """

    def __init__(self, vae: LatentVariableModel, precision_fit: str = "likelihood") -> None:
        self.vae = vae
        self.modules = nn.ModuleDict({"vae": vae})
        self.constant: ConstantStd | None = None
        self.constants: list[ConstantStd] = []  # one for each member of an ensemble
        self.network: NetworkStd | None = None
        self.rbf: RBFPrecision | None = None
        decoder = vae.decoder
        built = vae.settings is not None and isinstance(decoder, Decoder)
        if isinstance(decoder, EnsembleDecoder):
            parts = vae.modules() if vae.settings is not None else ()
            self.constants = [part for part in parts if isinstance(part, ConstantStd)]
        elif built and isinstance(decoder.likelihood, NormalLikelihood):
            self._add_stds(decoder.likelihood.std, precision_fit)
        self.stages = self._list_stages()

    def begin(self, stage: Stage, scale: Tensor) -> None:
        """Start a stage from the level of noise that is known then.

        Args:
            stage: the stage.
            scale: the root mean square of the features' standard deviations, for a learned one.
        """
        if stage.name == "std" and self.network is not None:
            assert self.vae.settings is not None
            self.network.set_level(self.level, self.vae.settings.floor(self.level))
            return
        for constant in self.constants:
            if isinstance(constant.log_std, nn.Parameter):
                constant.set_level(float(scale))

    @property
    def level(self) -> float:
        """The constant standard deviation of the first stage."""
        assert self.constant is not None
        return float(self.constant.log_std.detach().exp())

    @torch.no_grad()
    def fit_precision(self, blocks: list[Tensor], validation: list[Tensor], seed: int) -> None:
        """Fit the RBF precision, with everything else frozen.

        Args:
            blocks: the training data in blocks `(b, D)`.
            validation: the data held out, alike; they choose the shrinkage, if none is given.
            seed: seed of the draws of z.
        """
        config, rbf = self.vae.settings, self.rbf
        assert config is not None
        assert rbf is not None
        codes = torch.cat([self.vae.encoder(x).mean for x in blocks])
        centers, bandwidths = fit_centers(
            codes,
            config.n_centers,
            bandwidth_factor=config.bandwidth_factor,
            random_state=config.random_state,
        )
        zeta = config.zeta if config.zeta is not None else (1000 * self.level) ** -2
        start = RBFPrecision(centers, bandwidths, torch.ones_like(rbf.weights), zeta)
        if self.network is None:
            weights = self._fit_weights(start, blocks, validation, seed)
        else:
            with seeded(seed, codes.device):
                weights = regress_weights(start, codes, self.network(codes)).weights
        rbf.set_(start.with_weights(weights))

    def _fit_weights(
        self, start: RBFPrecision, blocks: list[Tensor], validation: list[Tensor], seed: int
    ) -> Tensor:
        """Fit the weights by likelihood, and choose how far they are shrunk if nobody has."""
        config = self.vae.settings
        assert config is not None

        def fit(X: list[Tensor], shrinkage: float) -> Tensor:
            with seeded(seed, start.centers.device):
                return fit_weights(start, self._residuals(X), shrinkage=_ROWS * shrinkage).weights

        if config.shrinkage is not None:
            return fit(blocks, config.shrinkage)
        training = torch.cat(blocks)
        parts = set_apart(training, torch.cat([training[:0], *validation]))
        if parts is None:
            self.vae.settings = replace(config, shrinkage=CAUTIOUS)
            return fit(blocks, CAUTIOUS)
        fitted, judges = parts
        trials = [fit(list(fitted.split(_BLOCK)), shrinkage) for shrinkage in SHRINKAGES]
        stds = [start.with_weights(weights) for weights in trials]
        scores = held_out_log_marginal(self.vae, self._mean, stds, judges, fitted, seed=seed)
        best = scores.index(max(scores))
        self.vae.settings = replace(config, shrinkage=SHRINKAGES[best])
        return trials[best] if fitted is training else fit(blocks, SHRINKAGES[best])

    def _add_stds(self, std: nn.Module, precision_fit: str) -> None:
        config = self.vae.settings
        assert config is not None
        extra: dict[str, nn.Module] = {}
        with seeded(config.random_state):
            if not isinstance(std, ConstantStd):
                extra["constant"] = build_std(config, "constant")
            if isinstance(std, RBFPrecision) and precision_fit == "regression":
                extra["network"] = build_std(config, "network")
        for name, module in extra.items():
            self.modules[name] = module.to(self.vae.like)
        for module in (std, *extra.values()):
            if isinstance(module, ConstantStd):
                self.constant, self.constants = module, [module]
            elif isinstance(module, NetworkStd):
                self.network = module
            elif isinstance(module, RBFPrecision):
                self.rbf = module

    def _list_stages(self) -> list[Stage]:
        if self.constant is None:
            return [Stage("mean", self.vae.decoder, list(self.vae.parameters()))]
        first = self._decoder(self.constant)
        stages = [Stage("mean", first, [*self.vae.encoder.parameters(), *first.parameters()])]
        if self.network is not None:
            stages.append(
                Stage("std", self._decoder(self.network), list(self.network.parameters()))
            )
        return stages

    def _decoder(self, std: nn.Module) -> Decoder:
        return Decoder(
            self._mean, NormalLikelihood(std), latent_dim=self.vae.latent_dim, check=False
        )

    @property
    def _mean(self) -> nn.Module:
        mean = self.vae.decoder.mean
        assert isinstance(mean, nn.Module)
        return mean

    def _residuals(self, blocks: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        assert self.vae.settings is not None
        # The square of the floor is added, as if noise of that size were in the data: no residual
        # is 0.
        floor = self.vae.settings.floor(self.level) ** 2
        for x in blocks:
            posterior = self.vae.encoder(x)
            # The mean code is added to the draws: where they scatter wider than the kernels, none
            # of them may lie near it, and the precision there could rise without limit.
            z = torch.cat([draw(posterior, (_DRAWS,)), posterior.mean.unsqueeze(0)])
            squared = (x - self._mean(z)).square() + floor
            yield z.flatten(0, 1), squared.flatten(0, 1)
