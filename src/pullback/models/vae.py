"""The variational auto-encoder: encoder, decoder, prior, training and storage in one module."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from pullback.errors import (
    InvalidParameterError,
    StorageError,
    check_device,
    check_integer,
    check_path,
)
from pullback.models import storage
from pullback.models.config import (
    TrainingOptions,
    VAEConfig,
    as_sizes,
    build_decoder,
    build_encoder,
)
from pullback.models.likelihoods import LIKELIHOODS
from pullback.models.model import LatentVariableModel
from pullback.models.priors import StandardNormal
from pullback.models.training.training import Trainer
from pullback.randomness import seeded

__all__ = ["VAE", "load"]


class VAE(LatentVariableModel):
    """A variational auto-encoder whose decoder knows what it does not know.

    `p(x) = integral p(x|z) p(z) dz` with `p(z) = N(0, I_d)` and, for the normal likelihood,
    `p(x|z) = N(mu(z), diag sigma(z)^2)`; `q(z|x) = N(loc(x), diag scale(x)^2)`. It is trained by
    maximising the ELBO, the variance in a second stage of its own.

    The methods take arrays or tensors with any leading batch dimensions, and evaluate: gradients
    flow to inputs that require them, and to no parameter. A training loop of your own calls the
    modules, or the functions `elbo` and `importance_weighted_bound` on them.

    Args:
        data_dim: the data dimension D >= 1.
        latent_dim: the latent dimension d in [1, D].
        likelihood: `"normal"`, or `"student_t"` for data with outliers; `"bernoulli"` for data in
            [0, 1]; `"poisson"` or `"negative_binomial"` for counts, `"beta_binomial"` for those of
            successes; `"categorical"` for sequences of letters, one-hot and flattened, with
            `n_categories`; `"von_mises_fisher"` for unit vectors.
        likelihood_options: what else the likelihood is to be told, by name: the arguments of its
            class, such as `{"n_trials": 10}` for `"beta_binomial"`.
        n_categories: the number of letters K of the categorical likelihood, a divisor of D.
        std: sigma(z) of the normal likelihood: `"constant"`, `"network"`, or `"rbf"`, the one
            that grows away from the data, as the geometry needs it. `"auto"` is `"rbf"`, and
            `"constant"` for several decoders, which take no other.
        architecture: `"mlp"` or `"convolutional"`, which needs `image_shape`.
        hidden: hidden units of the encoder, in order, and of the decoder in reverse, (64, 32) if
            None; for the convolutional architecture channels, of the decoder in order and of the
            encoder in reverse, (32, 16) if None.
        dense_units: units of the layer between codes and convolutions, only for the convolutional
            architecture; 0 for none, 128 if None. Without it images change in d directions only.
        image_shape: (channels, height, width) of an image; their product is D.
        activation: activation of the hidden layers, see `activation`.
        output: what bounds mu(z): `"sigmoid"` to (0, 1), `"tanh"` to (-1, 1), `"identity"` not;
            `"auto"` lets `fit` choose sigmoid for data within [0, 1] and identity for others.
        constant_std: sigma of the first stage: `"learned"`, the level that maximises the ELBO and
            suits data of any scale, or a number in the unit of the data. Smaller spreads the latent
            codes wider.
        n_centers: number of RBF centres K; like the next three, only for `std="rbf"`.
        bandwidth_factor: a > 0, the width of the RBF kernels in units of their clusters' spread.
        shrinkage: how far the RBF weights are drawn to a common one, >= 0, in samples of average
            residuals that are added at each centre; 0 for maximum likelihood. None lets `fit`
            choose among 0, 0.1 and 1 what makes the samples that it holds out likeliest, and write
            it into `config`; with fewer than 10 of them it takes 1.
        zeta: the RBF precision away from all data, in the unit of 1 / x^2; None for
            `(1000 * constant_std)^-2`.
        min_std: the noise floor > 0 of the network and RBF sigma, in the unit of the data; None
            for a tenth of the constant sigma. It keeps features that never vary from an infinite
            precision.
        n_decoders: number of decoders k. With k > 1 the decoder is an `EnsembleDecoder`, of which
            each mini-batch trains one member of chance, so k of them need more epochs; where they
            differ little is known.
        random_state: seed of the initial weights and of the k-means behind the centres, in
            [0, 2^32 - 1].

    Attributes:
        encoder: x -> q(z|x), a `GaussianEncoder`.
        decoder: z -> p(x|z), a `Decoder`, or an `EnsembleDecoder` of them.
        prior: () -> p(z), a `StandardNormal`.
        history: one row for each epoch of `fit`: stage, epoch, elbo, reconstruction, kl,
            validation_elbo, seconds.

    Raises:
        InvalidParameterError: a value is out of range.

    Source:
        Kingma and Welling, "Auto-Encoding Variational Bayes", 2014; Arvanitidis, Hansen and
        Hauberg, "Latent Space Oddity", 2018, for the two stages and the RBF precision; Syrota,
        Moreno-Munoz and Hauberg, "Decoder ensembling for learned latent geometries", 2024.

    Example:
        >>> X = torch.rand(100, 5, generator=torch.Generator().manual_seed(0))
        >>> vae = VAE(data_dim=5, latent_dim=2, n_centers=4).fit(X, epochs=2, progress=False)
        >>> vae.encode(X).shape, vae.decode(torch.zeros(2)).shape, vae.elbo(X).shape
        (torch.Size([100, 2]), torch.Size([5]), torch.Size([100]))
    """

    def __init__(
        self,
        data_dim: int,
        latent_dim: int = 2,
        *,
        likelihood: str = "normal",
        likelihood_options: Mapping[str, Any] | None = None,
        n_categories: int | None = None,
        std: str = "auto",
        architecture: str = "mlp",
        hidden: Sequence[int] | None = None,
        dense_units: int | None = None,
        image_shape: Sequence[int] | None = None,
        activation: str = "tanh",
        output: str = "auto",
        constant_std: float | str = "learned",
        n_centers: int = 64,
        bandwidth_factor: float = 2.0,
        shrinkage: float | None = None,
        zeta: float | None = None,
        min_std: float | None = None,
        n_decoders: int = 1,
        random_state: int = 0,
    ) -> None:
        super().__init__()
        if std == "auto":
            family = LIKELIHOODS.get(likelihood) if isinstance(likelihood, str) else None
            has_std = family is not None and "std" in family.settings
            several = check_integer("n_decoders", n_decoders) > 1 and has_std
            std = "constant" if several else VAEConfig.std
        config = VAEConfig(
            data_dim=data_dim,
            latent_dim=latent_dim,
            likelihood=likelihood,
            likelihood_options={} if likelihood_options is None else likelihood_options,
            n_categories=n_categories,
            std=std,
            architecture=architecture,
            hidden=None if hidden is None else as_sizes("hidden", hidden),
            dense_units=dense_units,
            image_shape=None if image_shape is None else as_sizes("image_shape", image_shape),
            activation=activation,
            output=output,
            constant_std=constant_std,
            n_centers=n_centers,
            bandwidth_factor=bandwidth_factor,
            shrinkage=shrinkage,
            zeta=zeta,
            min_std=min_std,
            n_decoders=n_decoders,
            random_state=random_state,
        )
        with seeded(config.random_state):
            encoder, decoder = build_encoder(config), build_decoder(config)
        self._assemble(encoder, decoder, StandardNormal(latent_dim), config)

    @classmethod
    def from_modules(
        cls, encoder: nn.Module, decoder: nn.Module, prior: nn.Module | None = None
    ) -> "VAE":
        """Build a model of your own modules.

        Args:
            encoder: x `(*batch, D)` -> a distribution over z.
            decoder: z `(*batch, d)` -> a distribution over x, with attributes `latent_dim` and
                `data_dim`, as `Decoder` has them.
            prior: () -> a distribution over z; `StandardNormal` if None.

        Returns:
            The model. `fit` trains all of its parameters in one stage; `load` needs it again as
            `model=`, for code is not stored.

        Raises:
            InvalidParameterError: the decoder does not say its dimensions.

        Example:
            >>> from pullback.models import BernoulliLikelihood, Decoder, GaussianEncoder, mlp
            >>> decoder = Decoder(mlp([2, 8, 5]), BernoulliLikelihood())
            >>> vae = VAE.from_modules(GaussianEncoder(mlp([5, 8, 4]), 2), decoder)
            >>> vae.latent_dim, vae.data_dim
            (2, 5)
        """
        for name in ("latent_dim", "data_dim"):
            if not isinstance(getattr(decoder, name, None), int):
                raise InvalidParameterError(
                    "decoder",
                    f"a module with an integer attribute `{name}`",
                    type(decoder).__name__,
                    "Set it, or build the decoder with `pullback.models.Decoder`.",
                )
        vae = cls.__new__(cls)
        nn.Module.__init__(vae)
        if prior is None:
            prior = StandardNormal(int(decoder.latent_dim))  # type: ignore[arg-type]
        vae._assemble(encoder, decoder, prior, None)
        return vae.to(vae.like)

    def fit(
        self,
        X: Any,
        *,
        epochs: int = 300,
        batch_size: int = 128,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        kl_warmup: float = 0.3,
        validation_fraction: float = 0.1,
        patience: int | None = 50,
        gradient_clip: float | None = None,
        precision_fit: str = "likelihood",
        random_state: int = 0,
        checkpoint: str | os.PathLike[str] | None = None,
        resume: bool = True,
        device: str | torch.device | None = None,
        progress: bool = True,
    ) -> "VAE":
        """Train on data, from the weights that the model has: mean first, then the variance.

        Where the output is unbounded, the first training sets the unit in which the networks work:
        they see and give `(x - c) / s`, with c the means of the features and s the root mean square
        of their standard deviations. All that comes out is in the unit of the data.

        Args:
            X: an array or tensor `(n, D)`, or a map-style `Dataset` of x or (x, ...).
            epochs: most epochs of each stage.
            batch_size: samples a step of AdamW.
            learning_rate: its learning rate.
            weight_decay: its weight decay.
            kl_warmup: share of the epochs over which the weight of the KL term grows to 1.
            validation_fraction: share of the data held out; 0 for none, and no early stopping.
            patience: epochs without a better validation ELBO, after the warm-up, before a stage
                ends; None for never. The best weights are kept either way.
            gradient_clip: largest norm of the gradient of the negative ELBO; None for no limit.
            precision_fit: how the RBF weights are fitted: by `"likelihood"`, or by `"regression"`
                onto a variance network that is trained before.
            random_state: seed of the split, the batches and the draws.
            checkpoint: a file to keep the state of the run in, so that it can go on after it was
                interrupted or killed; written as often as takes a tenth of the time at most.
            resume: go on from the checkpoint if it exists; otherwise it is replaced.
            device: where to train; where the model is if None.
            progress: show a bar.

        Returns:
            The model itself, in evaluation mode.

        Raises:
            InvalidDataError: data that are not finite, of the wrong shape, too few, out of the
                range of `output`, or, with an unbounded output, with features that are constant.
            InvalidParameterError: a setting is out of range or does not fit the data.
            DeviceError: the device is not on this machine.
            ConvergenceError: the ELBO stopped being finite.
            StorageError: the checkpoint cannot be written, or is of another run.
        """
        options = TrainingOptions(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            kl_warmup=kl_warmup,
            validation_fraction=validation_fraction,
            patience=patience,
            gradient_clip=gradient_clip,
            precision_fit=precision_fit,
            random_state=random_state,
        )
        if device is not None:
            self.to(check_device(device))
        path = None if checkpoint is None else check_path("checkpoint", checkpoint)
        Trainer(self, X, options, checkpoint=path, progress=progress).run(resume=resume)
        return self

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save into a folder, which `pullback.load` reads back, see `storage.save`.

        Args:
            path: the folder; it is made if it is missing, and a model in it is replaced.

        Raises:
            StorageError: the folder cannot be written; what was in it stays as it was.
        """
        storage.save(self, path)


def load(
    path: str | os.PathLike[str],
    *,
    model: VAE | None = None,
    device: str | torch.device | None = None,
) -> VAE:
    """Load a model from the folder that `save` wrote.

    Args:
        path: the folder.
        model: the model to fill, needed for one made of custom modules (`VAE.from_modules`).
        device: the device to put it on, the CPU if None.

    Returns:
        The model, in evaluation mode.

    Raises:
        StorageError: a file is missing, truncated, tampered with, or written by a newer version.

    Example:
        >>> import tempfile
        >>> from pullback.models import VAE
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     VAE(5, 2).save(folder)
        ...     load(folder).encode(torch.zeros(3, 5)).shape
        torch.Size([3, 2])
    """
    saved = storage.read_saved(path)
    vae = _build(saved) if model is None else model
    storage.fill(vae, saved)
    return vae if device is None else vae.to(check_device(device))


def _build(saved: storage.Saved) -> VAE:
    if saved.config is None:
        raise StorageError(
            f"The model in {saved.folder} was made of custom modules, which are not stored: build "
            "them and call `load(path, model=VAE.from_modules(encoder, decoder))`."
        )
    config = dict(saved.config)
    if config.get("architecture") == "convolutional":
        config.setdefault("dense_units", 0)  # of files that were written before there was one
    try:
        return VAE(**config)
    except (InvalidParameterError, TypeError) as error:
        raise StorageError(
            f"The configuration in {saved.folder / 'model.json'} is not valid: {error}"
        ) from error
