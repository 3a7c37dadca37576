"""Images of digits: a Gaussian decoder whose RBF precision falls away from the data.

    python examples/mnist_rbf.py digits.png

Where the model knows nothing its standard deviation is large, and geodesics go around it.
"""

import sys

import torch
from matplotlib.figure import Figure

import pullback as pb


def run(epochs: int = 300, n: int = 200, out: str | None = None) -> dict[str, float]:
    """Train, connect held-out images, compare distances with digits; return what was found.

    Args:
        epochs: most epochs of each stage of training.
        n: how many held-out images to measure.
        out: where to save a figure, if anywhere.
    """
    X, y = pb.datasets.mnist(digits=(0, 1, 7))
    X, X_test, _, y_test = pb.datasets.split(X, y, test_fraction=0.2, random_state=0)
    vae = pb.models.VAE(data_dim=784, latent_dim=2)
    vae.fit(X, epochs=epochs, progress=False)
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
        draw(M, Z_test, y_test, path).savefig(out)
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
