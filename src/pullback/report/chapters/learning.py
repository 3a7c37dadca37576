"""What the model learnt: how well held-out samples come back, and how the training went."""

from typing import Any

import torch

from pullback import plots
from pullback.pages.chapter import Block, Chapter, Picture, Pictures, Table
from pullback.pages.wording import number, percent
from pullback.report.study import Study

__all__ = ["learning"]

# The most features that the table lists, those that are kept worst.
_SHOWN = 12


@torch.no_grad()
def learning(study: Study) -> Chapter:
    """Tell what the model learnt.

    Example:
        >>> learning(Study(RunFolder("run"))).outcome  # doctest: +SKIP
    """
    X, vae = study.X, study.vae
    images = vae.reconstruct(X)
    error = (X - images).square().mean()
    explained = 1 - error / (X - X.mean(0)).square().mean()
    epochs = sum(row["stage"] == "mean" for row in vae.history)
    numbers: dict[str, Any] = {
        "n_train": len(study.data.X_train),
        "n_test": len(study.data.X_test),
        "data_dim": vae.data_dim,
        "latent_dim": vae.latent_dim,
        "classes": [str(name) for name in study.classes],
        "epochs": epochs,
        "epochs_allowed": study.settings.epochs,
        "reconstruction_rmse": float(error.sqrt()),
        "variance_explained": float(explained),
    }
    early = "it stopped early" if epochs < study.settings.epochs else "all that were allowed"
    blocks: list[Block] = [
        f"A variational auto-encoder maps {vae.data_dim} numbers to {vae.latent_dim} and back. It "
        f"learnt from {numbers['n_train']} samples for {epochs} epochs ({early}); "
        f"{numbers['n_test']} others were held out, and all that follows is measured on them.",
        f"Decoded again, held-out samples keep {percent(numbers['variance_explained'])} of their "
        f"variance; the root mean square error is {number(numbers['reconstruction_rmse'])}.",
    ]
    if study.image_shape is not None:
        blocks.append(_reconstructions(study, images))
    else:
        blocks.append(_features(study, images))
    blocks.append(Pictures(_codes_and_history(study)))
    if not study.is_plane:
        blocks.append(
            f"The latent space has {vae.latent_dim} dimensions, and maps are drawn of two only: "
            "the numbers below are measured all the same."
        )
    return Chapter("learning", "What the model learnt", numbers, blocks)


def _reconstructions(study: Study, images: torch.Tensor) -> Picture:
    shown = torch.linspace(0, len(images) - 1, min(10, len(images))).long()
    pairs = torch.cat([study.X[shown], images[shown]])
    return Picture(
        "reconstructions",
        lambda: plots.images(
            pairs.cpu(), shape=study.image_shape, columns=len(shown), labels=("held out", "decoded")
        ),
        "Two rows of images: held-out samples above, what the decoder makes of their codes below.",
        "Held-out samples, and what the decoder makes of their codes.",
    )


def _features(study: Study, images: torch.Tensor) -> Table:
    left = (study.X - images).square().mean(0) / study.X.var(0, correction=0)
    explained = dict(zip(study.data.feature_names.tolist(), (1 - left).tolist(), strict=True))
    worst_first = sorted(explained, key=lambda name: explained[name])
    caption = "Variance of each feature that is kept"
    if len(worst_first) > _SHOWN:
        caption += f", of {len(worst_first)} the {_SHOWN} that are kept worst"
    rows = [[name, percent(explained[name])] for name in worst_first[:_SHOWN]]
    return Table(["feature", "kept"], rows, caption + ".")


def _codes_and_history(study: Study) -> list[Picture]:
    history = Picture(
        "history",
        lambda: plots.history(study.vae.history),
        "The ELBO against the epoch, on the training and on the validation data.",
        "The ELBO while encoder and mean were trained. The weight of its KL term grows over the "
        "first epochs.",
    )
    if not study.is_plane:
        return [history]
    codes = Picture(
        "codes",
        lambda: plots.scatter(study.Z.cpu(), study.y),
        "Scatter plot of the held-out codes in the latent plane"
        + (", coloured by class." if study.classes else "."),
        "The codes of the held-out samples"
        + (". The model never saw their labels." if study.classes else "."),
    )
    return [codes, history]
