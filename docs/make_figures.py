"""Make the pictures of the README: `python docs/make_figures.py` (about a minute)."""

from pathlib import Path

import torch
from matplotlib.figure import Figure

import pullback as pb
from pullback.curves import straight_line

IMAGES = Path(__file__).parent / "images"


def overview() -> Figure:
    """Draw a latent space of digits: its volume, its geodesics, and images along one of them."""
    X, y = pb.datasets.mnist(digits=(0, 1, 7))
    X, X_test, y, y_test = pb.datasets.split(X, y, test_fraction=0.2, random_state=0)
    vae = pb.models.VAE(data_dim=784, latent_dim=2).fit(X, progress=False)
    Z = vae.encode(X_test).double()
    M = pb.Manifold(vae, data=vae.encode(X))
    generator = torch.Generator().manual_seed(3)
    a, b = Z[torch.randperm(len(Z), generator=generator)[:40]].reshape(2, 20, 2)
    result = M.geodesic(a, b)

    figure = Figure(figsize=(9, 6), layout="constrained", dpi=110)
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 1))
    left, right = (figure.add_subplot(grid[0, i]) for i in range(2))
    chart = pb.plots.survey(M.log_volume, Z)
    style = {"label": r"log volume $\log\sqrt{\det M}$", "cmap": "magma"}
    pb.plots.latent_map(chart, Z, y_test, ax=left, **style)
    pb.plots.geodesics(result, ax=pb.plots.latent_map(chart, ax=right, **style))

    pair = (result.straight_length / result.length).argmax()
    curves = torch.stack([straight_line(a[pair], b[pair], 14), result.points(15)[pair]])
    strip = M.decode(curves).reshape(30, 784)
    bottom = figure.add_subplot(grid[1, :])
    pb.plots.images(strip, columns=15, labels=["straight line", "geodesic"], ax=bottom)
    return figure


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    with pb.plots.theme("light"):
        overview().savefig(IMAGES / "overview.png")
