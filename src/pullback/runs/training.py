"""Training the models of a run: one model, and the same one with other standard deviations."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pullback.errors import check_device
from pullback.models import VAE, ConstantStd, Decoder, NormalLikelihood, load
from pullback.models.config import TrainingOptions, VAEConfig
from pullback.models.training.stages import Recipe
from pullback.models.training.training import Trainer
from pullback.runs.folder import RunFolder, Settings, is_saved
from pullback.runs.preparation import RunData

__all__ = [
    "build_model",
    "refuse_unfit",
    "train",
    "with_constant_std",
    "with_network_std",
    "with_rbf_std",
]


def build_model(settings: Settings, data: RunData) -> VAE:
    """Return the model of a run, untrained: what `VAE` starts from, fewer centres for few data.

    Raises:
        InvalidParameterError: the latent dimension is not in [1, D], or the likelihood does not
            take its options.

    Example:
        >>> import numpy as np
        >>> from pullback.datasets import Table
        >>> from pullback.runs.preparation import prepare
        >>> data = prepare(Table(np.random.default_rng(0).normal(size=(50, 3)), None, tuple("abc")))
        >>> build_model(Settings("train", "a.csv", "0a"), data).config["n_centers"]
        5
    """
    n_centers = max(2, min(VAEConfig.n_centers, len(data.X_train) // 8))
    options = dict(settings.likelihood_options)
    n_categories = options.pop("n_categories", None)  # which is an argument of the model itself
    return VAE(
        data_dim=data.X.shape[1],
        latent_dim=settings.latent_dim,
        likelihood=settings.likelihood,
        likelihood_options=options,
        n_categories=n_categories,
        n_centers=n_centers,
        random_state=settings.seed,
    )


def refuse_unfit(settings: Settings, data: RunData) -> None:
    """Raise what training would raise at its start, before anything is written.

    Raises:
        InvalidDataError: the data cannot be learnt from.
        InvalidParameterError: a setting does not fit the data.
        DeviceError: the device is not on this machine.

    Example:
        >>> import numpy as np
        >>> from pullback.datasets import Table
        >>> from pullback.runs.preparation import prepare
        >>> data = prepare(Table(np.full((50, 3), 7.0), None, tuple("abc")), scale="none")
        >>> refuse_unfit(Settings("train", "a.csv", "0a"), data)
        Traceback (most recent call last):
        pullback.errors.InvalidDataError: `X` must vary, but all of its samples are the same.
    """
    vae = build_model(settings, data).to(check_device(settings.device))
    options = TrainingOptions(epochs=settings.epochs, random_state=settings.seed)
    Trainer(vae, data.X_train, options, progress=False)


def train(folder: RunFolder, *, progress: bool = True) -> VAE:
    """Train the models of a run, or go on with it, and save them.

    Args:
        folder: the folder of a run that has begun.
        progress: show bars.

    Returns:
        The model, of a normal likelihood with its RBF precision.

    Raises:
        PullbackError: what `VAE.fit` raises.

    Example:
        >>> import numpy as np
        >>> from tempfile import TemporaryDirectory
        >>> from pullback.datasets import Table
        >>> from pullback.runs.preparation import prepare
        >>> data = prepare(Table(np.random.default_rng(0).normal(size=(50, 3)), None, tuple("abc")))
        >>> with TemporaryDirectory() as path:
        ...     folder = RunFolder(path)
        ...     resumed = folder.begin(Settings("train", "noise", "0a", epochs=1), data)
        ...     train(folder, progress=False).data_dim
        3
    """
    settings, data = folder.settings(), folder.data()
    if is_saved(folder.model):
        vae = load(folder.model, device=settings.device)
    else:
        vae = build_model(settings, data)
        vae.fit(
            data.X_train,
            epochs=settings.epochs,
            random_state=settings.seed,
            checkpoint=folder.checkpoint,
            device=settings.device,
            progress=progress,
        )
        vae.save(folder.model)
    if settings.has_std and not is_saved(folder.network_model):
        network = with_network_std(
            vae,
            data.X_train,
            TrainingOptions(epochs=settings.epochs, random_state=settings.seed),
            checkpoint=folder.network_checkpoint,
            progress=progress,
        )
        network.save(folder.network_model)
    # Deleted last: until both models are saved, a run that stops can go on from its checkpoint.
    folder.checkpoint.unlink(missing_ok=True)
    folder.network_checkpoint.unlink(missing_ok=True)
    return vae


def with_network_std(
    vae: VAE,
    X: object,
    options: TrainingOptions,
    *,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> VAE:
    """Train a variance network for a model, its encoder and mean as they are.

    Args:
        vae: a trained model with a normal likelihood.
        X: its training data, `(n, D)`.
        options: the settings of the training.
        checkpoint: a file to keep the state of the run in.
        progress: show a bar.

    Returns:
        A new model: the same q(z|x) and mu(z), another sigma(z).

    Example:
        >>> X = torch.rand(60, 5, generator=torch.Generator().manual_seed(0))
        >>> vae = VAE(5, 2, n_centers=4).fit(X, epochs=2, progress=False)
        >>> network = with_network_std(vae, X, TrainingOptions(epochs=2))
        >>> bool((network.decode(torch.zeros(2)) == vae.decode(torch.zeros(2))).all())
        True
    """
    assert vae.config is not None
    # The level of noise is known by now: both kinds of sigma get the same floor from it.
    known = {"std": "network", "constant_std": _constant_level(vae, X)}
    useless = {"shrinkage": None, "zeta": None}  # without an RBF precision
    network = VAE(**(vae.config | known | useless)).to(vae.like)
    network.encoder.load_state_dict(vae.encoder.state_dict())
    _mean(network).load_state_dict(_mean(vae).state_dict())
    trainer = Trainer(network, X, options, checkpoint=checkpoint, progress=progress)
    trainer.begin_at("std")
    trainer.run()
    return network


def with_rbf_std(vae: VAE, X: Tensor, *, random_state: int = 0, **changes: Any) -> VAE:
    """Fit the RBF precision of a model once more, its encoder and mean as they are.

    Args:
        vae: a trained model with an RBF precision.
        X: its training data, `(n, D)`: all of them are fitted to, none is held out.
        random_state: seed of the draws of z.
        changes: what is otherwise, by name: `n_centers`, `bandwidth_factor`, `zeta`, `shrinkage`
            or `min_std`, as of `VAE`. A shrinkage that `fit` chose is kept.

    Returns:
        A new model: the same q(z|x) and mu(z), another sigma(z).

    Raises:
        InvalidParameterError: a setting is out of range, or there are more centres than data.

    Example:
        >>> X = torch.rand(60, 5, generator=torch.Generator().manual_seed(0))
        >>> vae = VAE(5, 2, n_centers=4).fit(X, epochs=2, progress=False)
        >>> far = with_rbf_std(vae, X, zeta=0.25).decoder(torch.full((2,), 1e3))
        >>> far.stddev[0].item()  # zeta^-1/2
        2.0
    """
    assert vae.config is not None
    model = VAE(**(vae.config | {"constant_std": _constant_level(vae, X)} | changes)).to(vae.like)
    model.encoder.load_state_dict(vae.encoder.state_dict())
    _mean(model).load_state_dict(_mean(vae).state_dict())
    Recipe(model).fit_precision([X.to(vae.like)], [], random_state)
    return model.eval()


@torch.no_grad()
def with_constant_std(vae: VAE, X: Tensor) -> Decoder:
    """Return the decoder of a model with the constant standard deviation of its first stage.

    Where that one was learned, it is the one of highest likelihood: the root mean square residual.

    Args:
        vae: a trained model with a normal likelihood.
        X: its training data, `(n, D)`.

    Example:
        >>> decoder = with_constant_std(VAE(5, 2, constant_std=0.1), torch.zeros(3, 5))
        >>> decoder(torch.zeros(2)).stddev
        tensor([0.1000, 0.1000, 0.1000, 0.1000, 0.1000])
    """
    std = ConstantStd(vae.data_dim, _constant_level(vae, X)).to(vae.like)
    return Decoder(_mean(vae), NormalLikelihood(std), latent_dim=vae.latent_dim, check=False)


@torch.no_grad()
def _constant_level(vae: VAE, X: object) -> float:
    assert vae.config is not None
    level = vae.config["constant_std"]
    if level != "learned":
        return float(level)
    X = torch.as_tensor(X).to(vae.like)
    return float((X - vae.reconstruct(X)).square().mean().sqrt())


def _mean(vae: VAE) -> nn.Module:
    mean = vae.decoder.mean
    assert isinstance(mean, nn.Module)
    return mean
