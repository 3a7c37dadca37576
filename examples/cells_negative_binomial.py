"""Blood cells: a negative binomial decoder of gene counts, measured by the Fisher-Rao metric.

    python examples/cells_negative_binomial.py cells.png

The counts are recovered from the normalised values that scanpy ships, see `pb.datasets.pbmc`. How
deeply a cell was sequenced is part of its counts, and nothing here takes it out.
"""

import sys

import torch
from matplotlib.figure import Figure

import pullback as pb


def run(epochs: int = 300, n: int = 210, out: str | None = None) -> dict[str, float]:
    """Train, connect held-out cells, compare distances with their ten types; return what was found.

    Args:
        epochs: most epochs of each stage of training.
        n: how many held-out cells to measure.
        out: where to save a figure, if anywhere.
    """
    X, y = pb.datasets.pbmc()
    X, X_test, _, y_test = pb.datasets.split(X, y, test_fraction=0.3, random_state=0)
    vae = pb.models.VAE(X.shape[1], 2, likelihood="negative_binomial", hidden=(128, 64))
    vae.fit(X, epochs=epochs, batch_size=64, learning_rate=2e-3, progress=False)
    Z, Z_test, y_test = vae.encode(X), vae.encode(X_test[:n]).double(), y_test[:n]

    M = pb.Manifold(vae, data=Z)
    path = M.geodesic(*Z_test[: n // 2 * 2].reshape(2, n // 2, 2))
    distances = M.tabulated(Z).pairwise(Z_test, progress=False).distances
    found = {
        "converged": float(path.converged.double().mean()),
        "Euclidean": pb.statistics.triplet_share(torch.cdist(Z_test, Z_test), y_test),
        "Riemannian": pb.statistics.triplet_share(distances, y_test),
    }
    print(f"{n // 2} geodesics, of which {found['converged']:.1%} converged")
    for kind in ("Euclidean", "Riemannian"):
        print(f"{kind:>10} distance: {found[kind]:.1%} of triplets right")
    if out is not None:
        families = ["T cell" if name[:3] in {"CD4", "CD8"} else name for name in y_test]
        draw(M, Z_test, families, path).savefig(out)
    return found


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
