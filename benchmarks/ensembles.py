r"""How much distances change from one training to the next: Euclidean, RBF precision, ensemble.

Syrota, Moreno-Munoz and Hauberg (2024) in small: models of the digits 0, 5 and 7 are trained again
and again on the same images, with other seeds for the weights and the batches, and the distances
between the same pairs of held-out images are compared. One decoder with a constant sigma is the
control. The coefficient of variation of a pair is the standard deviation of its distance over the
trainings divided by the mean; a paired t-test over the pairs says whether the ensemble's is lower.
A second table asks whether the models know what they do not know: how well their uncertainty tells
held-out codes from points off the data, codes whose coordinates were shuffled among each other, and
codes twice as far out.

    python benchmarks/ensembles.py [--dims 2 10] [--retrainings N] [--pairs N] [--epochs N] \
        [--jobs N] [--device cuda]
"""

import argparse
import time
from typing import Any, NamedTuple

import numpy as np
import torch
from joblib import Parallel, delayed
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import Tensor

from pullback import Manifold
from pullback.datasets import Split, mnist, split
from pullback.models import VAE, EnsembleDecoder

MODELS: dict[str, dict[str, Any]] = {
    "RBF-VAE": {},
    "one decoder, constant sigma": {"std": "constant"},  # neither: what the training alone does
    "ensemble": {"n_decoders": 5},
}


class Retraining(NamedTuple):
    """What one trained model says.

    Attributes:
        euclidean: distances between the codes of the pairs, shape `(n_pairs,)`.
        geodesic: their geodesic distances, shape `(n_pairs,)`.
        shuffled: the area under the curve of uncertainty, codes against shuffled codes.
        doubled: the same against codes twice as far out.
        error: root mean square error per pixel of held-out images.
        converged: the share of the pairs whose geodesics converged.
    """

    euclidean: np.ndarray
    geodesic: np.ndarray
    shuffled: float
    doubled: float
    error: float
    converged: float


def train(images: np.ndarray, dim: int, name: str, seed: int, *, epochs: int) -> VAE:
    """Train one of the models."""
    vae = VAE(784, dim, hidden=(128, 64), random_state=seed, **MODELS[name])
    options = {"epochs": epochs, "batch_size": 64, "learning_rate": 3e-3, "progress": False}
    return vae.fit(images, random_state=seed, **options)


def retrain(
    parts: Split,
    pairs: np.ndarray,
    dim: int,
    name: str,
    seed: int,
    *,
    epochs: int,
    device: str,
) -> Retraining:
    """Train one model and measure the pairs `(2, n_pairs)` of held-out images in it."""
    vae = train(parts.X_train, dim, name, seed, epochs=epochs)
    data, codes = (vae.encode(X).double() for X in (parts.X_train, parts.X_test))
    a, b = codes[pairs[0]], codes[pairs[1]]
    levels = (32, 64) if dim <= 3 else (32,)
    geodesics = Manifold(vae, data=data, device=device).geodesic(a, b, levels=levels)
    generator = torch.Generator().manual_seed(seed)
    columns = [torch.randperm(len(codes), generator=generator) for _ in range(dim)]
    shuffled = torch.stack([codes[rows, i] for i, rows in enumerate(columns)], 1)
    residual = vae.decode(codes) - torch.tensor(parts.X_test)
    return Retraining(
        (a - b).norm(dim=-1).numpy(),
        geodesics.length.cpu().numpy(),
        area(uncertainty(vae, codes), uncertainty(vae, shuffled)),
        area(uncertainty(vae, codes), uncertainty(vae, 2 * codes)),
        float(residual.square().mean().sqrt()),
        float(geodesics.converged.double().mean()),
    )


@torch.no_grad()
def uncertainty(vae: VAE, codes: Tensor) -> Tensor:
    """The size of sigma(z), or of the standard deviation of the members' means: `(n,)`."""
    p = vae.decoder(codes.to(vae.like))
    if isinstance(vae.decoder, EnsembleDecoder):
        return torch.stack([part.mean for part in p.components]).std(0).norm(dim=-1)
    return p.stddev.norm(dim=-1)


def area(inside: Tensor, outside: Tensor) -> float:
    """The probability that a point off the data is called less certain than one on them."""
    truth = np.repeat([0, 1], [len(inside), len(outside)])
    return float(roc_auc_score(truth, torch.cat([inside, outside]).numpy()))


def coefficients_of_variation(distances: np.ndarray) -> np.ndarray:
    """Standard deviation over mean, over the trainings of distances `(n_trainings, n_pairs)`."""
    return distances.std(0, ddof=1) / distances.mean(0)


def measure(
    dim: int, *, n_retrainings: int, n_pairs: int, n_jobs: int = 1, **options: Any
) -> dict[str, list[Retraining]]:
    """Retrain both models on the same split, with the same pairs of held-out images."""
    X, y = mnist(digits=(0, 5, 7))
    parts = split(X, y, test_fraction=0.3, random_state=0)
    rng = np.random.default_rng(0)
    pairs = np.stack(
        [rng.choice(len(parts.X_test), 2, replace=False) for _ in range(n_pairs)], axis=1
    )
    cases = [(name, seed) for name in MODELS for seed in range(n_retrainings)]
    answers = Parallel(n_jobs)(
        delayed(retrain)(parts, pairs, dim, name, seed, **options) for name, seed in cases
    )
    found: dict[str, list[Retraining]] = {name: [] for name in MODELS}
    for (name, _), answer in zip(cases, answers, strict=True):
        found[name].append(answer)
    return found


def variation_rows(dim: int, found: dict[str, list[Retraining]]) -> list[str]:
    """One row for each distance: its variation, and the ensemble's against it."""
    kinds = {
        f"{what}, {name}": np.stack([getattr(one, field) for one in runs])
        for name, runs in found.items()
        for what, field in (("Euclidean", "euclidean"), ("geodesic", "geodesic"))
    }
    variation = {name: coefficients_of_variation(values) for name, values in kinds.items()}
    ours = variation["geodesic, ensemble"]
    rows = []
    for name, values in variation.items():
        row = f"| {dim} | {name} | {values.mean():.3f} | {np.median(values):.3f} |"
        if name == "geodesic, ensemble":
            rows.append(f"{row} - | - | - |")
            continue
        test = stats.ttest_rel(ours, values, alternative="less")
        rows.append(
            f"{row} {(ours < values).mean():.0%} | {test.statistic:.2f} | {test.pvalue:.2g} |"
        )
    return rows


def knowledge_row(dim: int, name: str, runs: list[Retraining]) -> str:
    """Mean and standard deviation over the trainings of what a model knows of itself."""
    cells = [
        f"{np.mean(values):.3f} ({np.std(values):.3f})"
        for values in zip(*[one[2:] for one in runs], strict=True)
    ]
    return f"| {dim} | {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dims", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--retrainings", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="where geodesics are computed")
    options = parser.parse_args()
    start = time.perf_counter()
    found = {
        dim: measure(
            dim,
            n_retrainings=options.retrainings,
            n_pairs=options.pairs,
            n_jobs=options.jobs,
            device=options.device,
            epochs=options.epochs,
        )
        for dim in options.dims
    }
    print("| d | distance | CV, mean | CV, median | ensemble's is lower | t | p |")
    print("|---|---|---|---|---|---|---|")
    for dim, runs in found.items():
        print("\n".join(variation_rows(dim, runs)))
    print("\n| d | model | AUC, shuffled | AUC, doubled | error per pixel | converged |")
    print("|---|---|---|---|---|---|")
    for dim, models in found.items():
        print("\n".join(knowledge_row(dim, name, runs) for name, runs in models.items()))
    print(f"\n{(time.perf_counter() - start) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
