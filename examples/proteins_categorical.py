"""Protein sequences: a categorical decoder of WW domains, measured by the Fisher-Rao metric.

    python examples/proteins_categorical.py proteins.png

The sequences have no labels. So one letter is hidden from the model and serves as the label: the
amino acid after the first tryptophan, one of those that the others tell most about, where it is one
of the eight common ones. A second number needs no label: of two other sequences, is the one nearer
that has more letters in common? Sequences that agree in all that the model sees count once.
"""

import sys

import numpy as np
import torch
from matplotlib.figure import Figure
from scipy.stats import somersd

import pullback as pb

HIDDEN = 7


def run(epochs: int = 300, n: int = 200, out: str | None = None) -> dict[str, float]:
    """Train, connect held-out sequences, compare distances with the letter; return what was found.

    Args:
        epochs: most epochs of each stage of training.
        n: how many held-out sequences to measure.
        out: where to save a figure, if anywhere.
    """
    X, sequences = pb.datasets.ww_domains()
    y = np.array([row[HIDDEN] for row in sequences])
    X = np.delete(X.reshape(len(X), 44, 21), HIDDEN, axis=1).reshape(len(X), 43 * 21)
    _, once = np.unique(X, axis=0, return_index=True)
    once = once[np.isin(y[once], list("EIKQRSTV"))]
    X, X_test, _, y_test = pb.datasets.split(X[once], y[once], test_fraction=0.2, random_state=0)
    vae = pb.models.VAE(X.shape[1], 2, likelihood="categorical", n_categories=21)
    vae.fit(X, epochs=epochs, progress=False)
    Z, Z_test, y_test = vae.encode(X), vae.encode(X_test[:n]).double(), y_test[:n]

    M = pb.Manifold(vae, data=Z)
    path = M.geodesic(*Z_test[: n // 2 * 2].reshape(2, n // 2, 2))
    euclidean = torch.cdist(Z_test, Z_test)
    riemannian = M.pairwise(Z_test, progress=False).distances
    found = {"converged": float(path.converged.double().mean())}
    print(f"{n // 2} geodesics, of which {found['converged']:.1%} converged")
    for kind, distances in {"Euclidean": euclidean, "Riemannian": riemannian}.items():
        found[kind] = pb.statistics.triplet_share(distances, y_test)
        found[f"{kind}, identity"] = share_by_identity(distances, X_test[:n])
        print(
            f"{kind:>10} distance: {found[kind]:.1%} of triplets right by the hidden letter, "
            f"{found[f'{kind}, identity']:.1%} by identity"
        )
    if out is not None:
        draw(M, Z_test, np.where(np.isin(y_test, list("EKT")), y_test, "other"), path).savefig(out)
    return found


def share_by_identity(distances: torch.Tensor, X: np.ndarray) -> float:
    """Return how often, of two sequences, the one with more letters in common is the nearer."""
    differing, apart, others = -(X @ X.T), distances.numpy(), ~np.eye(len(X), dtype=bool)
    orders = [
        somersd(differing[i, others[i]], apart[i, others[i]]).statistic for i in range(len(X))
    ]
    return (1 + float(np.mean(orders))) / 2


def draw(M: pb.Manifold, Z: torch.Tensor, y: object, path: object) -> Figure:
    """Draw the volume of the latent space, with the codes and with geodesics between them."""
    figure = Figure(figsize=(10, 4.9), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2)
    chart = pb.plots.survey(M.log_volume, Z)
    style = {"label": r"log volume $\log\sqrt{\det M}$", "cmap": "magma"}
    pb.plots.latent_map(chart, Z, y, ax=left, **style)
    left.legend(loc="upper left", bbox_to_anchor=(0, -0.12), ncols=4, fontsize=8, frameon=False)
    pb.plots.geodesics(path, most=25, ax=pb.plots.latent_map(chart, ax=right, **style))
    return figure


if __name__ == "__main__":
    run(out=sys.argv[1] if len(sys.argv) > 1 else None)
