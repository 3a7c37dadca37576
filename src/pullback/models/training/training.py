"""Training a `VAE`: epochs, early stopping, and checkpoints that survive a kill at any moment.

Every epoch has its own seed, mixed from (random_state, stage, epoch). So a run that is resumed
after epoch e draws what an undisturbed one draws from there on, and ends at the same bits.
"""

import hashlib
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pullback.errors import (
    ConvergenceError,
    InvalidDataError,
    InvalidParameterError,
    check_choice,
)
from pullback.models.config import TrainingOptions, VAEConfig
from pullback.models.ensemble import EnsembleDecoder, members_of
from pullback.models.likelihoods import Likelihood
from pullback.models.model import LatentVariableModel
from pullback.models.objectives.bounds import elbo
from pullback.models.standardization import DATA_UNIT, Destandardization, Standardization
from pullback.models.training.checkpoint import Checkpoint, TrainingState, digest, restore_optimizer
from pullback.models.training.data import Survey, TrainingData
from pullback.models.training.stages import Recipe, Stage
from pullback.progress import progress_bar
from pullback.randomness import seed_from, seeded

__all__ = ["Trainer", "TrainingOptions"]

# Numbers that keep three uses of the seed apart, of the split, the validation and the fit of the
# precision, from each other and from the stages of training, whose numbers are 0 and 1.
_SPLIT, _VALIDATION, _PRECISION = 1000, 1001, 1002


class Trainer:
    """One training run of a model, in place; `VAE.fit` is its public face.

    Args:
        vae: the model.
        X: an array, a tensor or a map-style dataset.
        options: the settings.
        checkpoint: the file to keep checkpoints in, or None.
        progress: whether to show a bar.

    Raises:
        InvalidDataError: the data cannot be worked on.
        InvalidParameterError: settings that do not fit the data.

    Example:
        >>> from pullback.models import VAE
        >>> from pullback.models.config import TrainingOptions
        >>> vae = VAE(3, 1, std="constant")
        >>> Trainer(vae, torch.rand(20, 3), TrainingOptions(epochs=2), progress=False).run()
        >>> len(vae.history)
        2
    """

    def __init__(
        self,
        vae: LatentVariableModel,
        X: Any,
        options: TrainingOptions,
        *,
        checkpoint: Path | None = None,
        progress: bool = True,
    ) -> None:
        self.vae, self.options, self.progress = vae, options, progress
        self.data = TrainingData(X, vae.data_dim, vae.like)
        likelihood = getattr(vae.decoder, "likelihood", None)
        self.survey = self.data.survey(
            likelihood.check if isinstance(likelihood, Likelihood) else None
        )
        output = _check_survey(self.survey, vae.settings, vae.like.dtype)
        self._split()
        if output is not None:
            vae.set_output(output)
        self.recipe = Recipe(vae, options.precision_fit)
        # After an interruption a run is known by the weights that it began with, not by those it
        # reached.
        self.origin = vae.interrupted or digest(vae.state_dict())
        self.checkpoint = Checkpoint(checkpoint, self._fingerprint(self.survey))
        self.state = TrainingState()
        self.best: dict[str, Tensor] | None = None

    def begin_at(self, stage: str) -> None:
        """Leave out the stages before one: what they would train is kept as it is.

        Args:
            stage: its name, `"mean"` or `"std"`.

        Raises:
            InvalidParameterError: the training of this model has no such stage.
        """
        names = [known.name for known in self.recipe.stages]
        self.state.stage = names.index(check_choice("stage", stage, names))

    def run(self, *, resume: bool = True) -> None:
        """Train, from the checkpoint on if there is one and `resume` says so.

        Raises:
            ConvergenceError: the loss stopped being finite.
            StorageError: a checkpoint cannot be written, or is of another run.
        """
        saved = self.checkpoint.read() if resume else None
        if self.checkpoint.path is not None:
            # Forgotten when the run has come to its end.
            self.vae.interrupted = self.origin
        tensors = {} if saved is None else self._restore(*saved)
        if saved is None and self.state.stage == 0:
            self._standardize()
        self.vae.history = self.state.history
        stages = self.recipe.stages
        while self.state.stage < len(stages):
            self._run_stage(stages[self.state.stage], tensors)
            tensors = {}
        if self.recipe.rbf is not None and self.state.stage == len(stages):
            self._fit_precision()
        self.vae.interrupted = None
        self.vae.eval()

    def _standardize(self) -> None:
        """Set the unit in which networks and likelihoods work, once in the life of a model."""
        if self.vae.settings is not None and not self.vae.history:
            for likelihood in [m for m in self.vae.modules() if isinstance(m, Likelihood)]:
                likelihood.set_unit(self.survey.center, self.survey.scale)
        parts = [m for m in self.vae.modules() if isinstance(m, Standardization)]
        unbounded = any(isinstance(m, Destandardization) for m in parts)
        if unbounded and all(m.is_identity for m in parts):
            for module in parts:
                module.set_(self.survey.center, self.survey.scale)

    def _split(self) -> None:
        n, options = len(self.data), self.options
        with seeded(seed_from(options.random_state, _SPLIT)):
            order = torch.randperm(n, device="cpu")
        n_validation = min(int(options.validation_fraction * n), n - 2)
        self.validation, self.training = order[:n_validation], order[n_validation:]
        settings = self.vae.settings
        rbf = settings is not None and "std" in settings.family.settings and settings.std == "rbf"
        if options.precision_fit == "regression" and not rbf:
            raise InvalidParameterError(
                "precision_fit", "'likelihood' where the model has no RBF precision", "'regression'"
            )
        if settings is not None and options.precision_fit == "regression":
            why = " and precision_fit='regression'"
            settings.refuse_unless_default("shrinkage", why)
        if rbf and settings is not None and settings.n_centers > len(self.training):
            raise InvalidParameterError(
                "n_centers",
                f"at most the number of training samples, {len(self.training)}",
                settings.n_centers,
                "Build the model with fewer centres, or use `std='network'`.",
            )

    def _fingerprint(self, survey: Survey) -> str:
        model = str(self.vae) if self.vae.settings is None else self.vae.config
        like = self.vae.like
        run = [survey.digest, asdict(self.options), model, str(like.dtype), like.device.type]
        run.append(self.origin)
        return hashlib.sha256(json.dumps(run).encode()).hexdigest()

    def _restore(self, state: TrainingState, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        self.state = state
        self.recipe.modules.load_state_dict(_part("model/", tensors))
        self.best = {k: v.to(self.vae.like.device) for k, v in _part("best/", tensors).items()}
        return tensors

    def _run_stage(self, stage: Stage, tensors: dict[str, Tensor]) -> None:
        state, options = self.state, self.options
        optimizer = torch.optim.AdamW(
            stage.parameters, options.learning_rate, weight_decay=options.weight_decay
        )
        if state.epoch > 0:
            restore_optimizer(optimizer, tensors)
        else:
            self.recipe.begin(stage, self._scale())
            self.checkpoint.write(state, self.recipe.modules, None, optimizer)
        with progress_bar(
            total=options.epochs, initial=state.epoch, desc=stage.name, disable=not self.progress
        ) as bar:
            while not self._is_finished():
                row = self._epoch(stage, optimizer)
                self._judge(stage, row)
                told = {k: f"{v:.4g}" for k, v in row.items() if isinstance(v, float)}
                bar.set_postfix(told, refresh=False)  # `update` shows it, when it is time
                bar.update()
                self.checkpoint.write(state, self.recipe.modules, self.best, optimizer, force=False)
        if self.best:
            self.recipe.modules.load_state_dict(self.best)
        self._advance()

    def _is_finished(self) -> bool:
        state, patience = self.state, self.options.patience
        waited = state.best_elbo is not None and state.epoch - state.best_epoch >= (
            patience or math.inf
        )
        return waited or state.epoch >= self.options.epochs

    def _advance(self) -> None:
        self.state.stage += 1
        self.state.epoch, self.state.best_epoch, self.state.best_elbo = 0, 0, None
        self.best = None
        self.checkpoint.write(self.state, self.recipe.modules, None, None)

    def _epoch(self, stage: Stage, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Step once over the training data and return the row of the history."""
        start, vae, options = time.monotonic(), self.vae, self.options
        warmup = options.warmup_epochs if stage.name == "mean" else 0
        beta = min(1.0, (self.state.epoch + 1) / warmup) if warmup else 1.0
        seed = seed_from(options.random_state, self.state.stage, self.state.epoch)
        totals = torch.zeros(2, dtype=vae.like.dtype, device=vae.like.device)
        self.recipe.modules.train()
        with seeded(seed, vae.like.device):
            order = self.training[torch.randperm(len(self.training), device="cpu")]
            for x in self.data.blocks(order, options.batch_size):
                parts = elbo(x, vae.encoder, _in_turn(stage.decoder), vae.prior, beta=beta)
                self._step(stage, optimizer, -parts.value.mean())
                totals += torch.stack([parts.reconstruction, parts.kl]).detach().sum(1)
        self.state.epoch += 1
        reconstruction, kl = (totals / len(self.training)).tolist()
        row = self._row(stage, reconstruction, kl, start)
        self._refuse_non_finite(row)
        return row

    def _step(self, stage: Stage, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        gradients = torch.autograd.grad(loss, stage.parameters, allow_unused=True)
        for parameter, gradient in zip(stage.parameters, gradients, strict=True):
            parameter.grad = gradient
        if self.options.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(stage.parameters, self.options.gradient_clip)
        optimizer.step()
        optimizer.zero_grad()

    def _judge(self, stage: Stage, row: dict[str, Any]) -> None:
        """Measure the validation ELBO, keep the best weights and write the history."""
        state = self.state
        state.history.append(row)
        if len(self.validation) == 0:
            return
        reconstruction, kl = self._evaluate(stage.decoder, self.validation)
        row["validation_elbo"] = value = reconstruction - kl
        if stage.name == "mean" and state.epoch < self.options.warmup_epochs:
            return
        if state.best_elbo is None or value > state.best_elbo:
            state.best_elbo, state.best_epoch = value, state.epoch
            tensors = self.recipe.modules.state_dict()
            self.best = {name: tensor.clone() for name, tensor in tensors.items()}

    @torch.no_grad()
    def _evaluate(self, decoder: torch.nn.Module, indices: Tensor) -> tuple[float, float]:
        """Return mean reconstruction and KL, always with the same draws of z."""
        vae, sums = self.vae, torch.zeros(2, dtype=self.vae.like.dtype)
        self.recipe.modules.eval()
        with seeded(seed_from(self.options.random_state, _VALIDATION), vae.like.device):
            members = members_of(decoder)
            for x in self.data.blocks(indices):
                for member in members:
                    parts = elbo(x, vae.encoder, member, vae.prior)
                    sums += torch.stack([parts.reconstruction, parts.kl]).sum(1).cpu()
        reconstruction, kl = (sums / (len(indices) * len(members))).tolist()
        return reconstruction, kl

    def _fit_precision(self) -> None:
        start, state = time.monotonic(), self.state
        self.recipe.modules.eval()
        blocks = list(self.data.blocks(self.training, 1024))
        validation = list(self.data.blocks(self.validation, 1024))
        seed = seed_from(self.options.random_state, _PRECISION)
        self.recipe.fit_precision(blocks, validation, seed)
        stage = Stage("precision", self.vae.decoder, [])
        state.epoch = 1
        row = self._row(stage, *self._evaluate(stage.decoder, self.training), start)
        self._refuse_non_finite(row)
        self._judge(stage, row)
        self._advance()

    def _row(self, stage: Stage, reconstruction: float, kl: float, start: float) -> dict[str, Any]:
        return {
            "stage": stage.name,
            "epoch": self.state.epoch,
            "elbo": reconstruction - kl,
            "reconstruction": reconstruction,
            "kl": kl,
            "validation_elbo": None,
            "seconds": time.monotonic() - start,
        }

    def _refuse_non_finite(self, row: dict[str, Any]) -> None:
        if math.isfinite(row["elbo"]):
            return
        kept = self.checkpoint.path
        cure = f" The last checkpoint, {kept}, is as it was." if kept else ""
        raise ConvergenceError(
            f"The ELBO became {row['elbo']} in epoch {row['epoch']} of stage {row['stage']!r}. "
            f"Lower `learning_rate`, set `gradient_clip`, or scale the data.{cure}"
        )

    def _scale(self) -> Tensor:
        rows = self.data[self.training[:4096]]
        return rows.var(0).mean().sqrt()


def _in_turn(decoder: torch.nn.Module) -> torch.nn.Module:
    """Return what a mini-batch trains: of an ensemble one member at random."""
    return decoder.draw_member() if isinstance(decoder, EnsembleDecoder) else decoder


def _part(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _check_survey(survey: Survey, config: VAEConfig | None, dtype: torch.dtype) -> str | None:
    """Refuse data that the model cannot stand for, and return the output that it needs."""
    low, high = float(survey.minimum.min()), float(survey.maximum.max())
    constant = survey.minimum == survey.maximum
    if bool(constant.all()):
        raise InvalidDataError("`X` must vary, but all of its samples are the same.")
    if config is None:
        return None
    if low < config.support[0] or high > config.support[1]:
        raise InvalidDataError(
            f"`X` must lie in [{config.support[0]:g}, {config.support[1]:g}] for this model, but "
            f"lies in [{low:g}, {high:g}]. Scale the data, or choose another `output` or "
            "`likelihood`."
        )
    if config.family.unit is DATA_UNIT:
        _check_scale(float(survey.scale), dtype)
    output = config.resolve_output(low, high)
    if config.family.unit is DATA_UNIT and output == "identity" and bool(constant.any()):
        which = constant.nonzero().flatten().tolist()
        shown = ", ".join(map(str, which[:10])) + (", ..." if len(which) > 10 else "")
        raise InvalidDataError(
            f"`X` must have features that vary, but {len(which)} of {len(constant)} are constant "
            f"(columns {shown}). Drop them: a constant has no variance to model."
        )
    return output


def _check_scale(scale: float, dtype: torch.dtype) -> None:
    """Refuse data whose variances and precisions, with their ratios, `dtype` cannot hold."""
    smallest = torch.finfo(dtype).tiny ** 0.25
    if not smallest <= scale <= 1 / smallest:
        raise InvalidDataError(
            f"`X` must have features of standard deviation in [{smallest:.1g}, {1 / smallest:.1g}] "
            f"for a model in {dtype}, but theirs is {scale:.3g}. Use another unit for the data, or "
            "call `double()` on the model before `fit`."
        )
