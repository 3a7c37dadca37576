"""k-means under both distances, against the labels that it never saw."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullback import plots
from pullback.pages.chapter import Block, Chapter, Picture, Pictures, Table, Verdict
from pullback.pages.wording import bootstrap, interval, signed
from pullback.report.study import Study
from pullback.statistics import KMeans, clustering_scores

__all__ = ["clustering", "match_clusters"]

_TITLE = "Clusters that mean something"
_CLAIM = "k-means finds the classes better with geodesic distances and means."
_NAMES = {"macro_f1": "macro F1", "pairwise_f": "pairwise F", "ari": "ARI", "nmi": "NMI"}
# The F measure that the paper reports, by the digits: Euclidean k-means, and Riemannian.
_PAPER = {"0,1,2": (0.7757, 0.9428), "3,4,7": (0.7780, 0.8954), "5,6,9": (0.6493, 0.8113)}


def clustering(study: Study) -> Chapter:
    """Tell which distance lets k-means find the classes.

    Example:
        >>> clustering(Study(RunFolder("run"))).outcome  # doctest: +SKIP
    """
    if study.y is None or study.why_no_classes:
        why = f"{study.why_no_classes}, so clusters cannot be compared with classes."
        return Chapter.absent("clustering", _TITLE, _CLAIM, why)
    found = {"Euclidean": _cluster_flat(study), "Riemannian": _cluster(study)}
    numbers = _score(study, study.y, found)
    return Chapter(
        "clustering",
        _TITLE,
        numbers,
        _tell(study, study.y, found, numbers),
        claim=_CLAIM,
        verdict=Verdict.of_interval(*numbers["gain_interval"]),
        outcome=f"Macro F1 {numbers['riemannian']['macro_f1']:.3f} with geodesic distances, "
        f"{numbers['euclidean']['macro_f1']:.3f} with Euclidean ones: {signed(numbers['gain'])}, "
        f"95\N{NO-BREAK SPACE}% interval {interval(numbers['gain_interval'])}.",
    )


Clusters = tuple[NDArray[Any], NDArray[Any]]


def _cluster_flat(study: Study) -> Clusters:
    from sklearn.cluster import KMeans as FlatKMeans

    model = FlatKMeans(len(study.classes), n_init=10, random_state=study.seed)
    model.fit(study.Z.cpu().numpy())
    return model.labels_, model.cluster_centers_


def _cluster(study: Study) -> Clusters:
    model = KMeans(study.manifold, len(study.classes), method="graph", random_state=study.seed)
    model.fit(study.Z)
    return np.asarray(model.labels_), np.asarray(model.cluster_centers_)


def match_clusters(y: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """Name each cluster after a class, no two after one, so that most points agree.

    Args:
        y: the classes, `(n,)`.
        labels: the clusters, `(n,)`.

    Returns:
        The class that each point's cluster is named after, `(n,)`.

    Source:
        Kuhn, "The Hungarian method for the assignment problem", 1955.

    Example:
        >>> match_clusters(np.array(["a", "b", "b"]), np.array([1, 0, 0])).tolist()
        ['a', 'b', 'b']
    """
    from scipy.optimize import linear_sum_assignment

    classes, clusters = np.unique(y), np.unique(labels)
    agree = (labels[:, None, None] == clusters[:, None]) & (y[:, None, None] == classes)
    rows, columns = linear_sum_assignment(-agree.sum(0))
    names = dict(zip(clusters[rows].tolist(), classes[columns], strict=True))
    return np.array([names[label] for label in labels.tolist()])


def _macro_f1(y: NDArray[Any], named: NDArray[Any], times: NDArray[Any]) -> float:
    scores = []
    for name in np.unique(y):
        hit = times[(y == name) & (named == name)].sum()
        if there := times[y == name].sum() + times[named == name].sum():
            scores.append(2 * hit / there)  # a small class may be missing from a draw
    return float(np.mean(scores))


def _score(study: Study, y: NDArray[Any], found: dict[str, Clusters]) -> dict[str, Any]:
    named = {method: match_clusters(y, labels) for method, (labels, _) in found.items()}

    def gain(times: NDArray[Any]) -> float:
        curved, flat = (_macro_f1(y, named[m], times) for m in ("Riemannian", "Euclidean"))
        return curved - flat

    scores = {method: clustering_scores(y, labels) for method, (labels, _) in found.items()}
    numbers: dict[str, Any] = {
        "euclidean": scores["Euclidean"],
        "riemannian": scores["Riemannian"],
        "gain": scores["Riemannian"]["macro_f1"] - scores["Euclidean"]["macro_f1"],
        "gain_interval": list(bootstrap(gain, len(y), seed=study.seed)),
        "n_clusters": len(study.classes),
        "n_points": len(y),
    }
    if study.settings.command == "demo" and study.settings.source in _PAPER:
        flat, curved = _PAPER[study.settings.source]
        numbers["paper"] = {"euclidean_f": flat, "riemannian_f": curved}
    return numbers


def _tell(
    study: Study, y: NDArray[Any], found: dict[str, Clusters], numbers: dict[str, Any]
) -> list[Block]:
    scores = {method: numbers[method.lower()] for method in found}
    rows = [
        [method, *(f"{values[key]:.3f}" for key in _NAMES)] for method, values in scores.items()
    ]
    blocks: list[Block] = [
        f"k-means with {numbers['n_clusters']} clusters on {len(y)} held-out codes, twice: once "
        "with Euclidean distances and means, once assigned by geodesic distance and updated to the "
        "Fréchet mean, both measured along a graph over the latent space. Clusters "
        "are named after the classes that they match best.",
    ]
    if study.is_plane:
        blocks.append(Pictures([_picture(study, y, method, *found[method]) for method in found]))
    blocks.append(Table(["", *_NAMES.values()], rows))
    if paper := numbers.get("paper"):
        blocks.append(
            f"The paper reports F = {paper['riemannian_f']:.3f} (Riemannian) and "
            f"{paper['euclidean_f']:.3f} (Euclidean) for these digits. The numbers are not like "
            "for like: it had 1000 images of each digit and here there are 500, it clustered what "
            "the model was trained on and here samples are held out, and it does not say which F "
            "it computes."
        )
    return blocks


def _picture(
    study: Study, y: NDArray[Any], method: str, labels: NDArray[Any], centers: NDArray[Any]
) -> Picture:
    named = match_clusters(y, labels)
    wrong = named != y
    return Picture(
        f"clusters-{method.lower()}",
        lambda: plots.clusters(study.Z.cpu(), named, centers, wrong=wrong),
        f"The codes coloured by {method} cluster; {int(wrong.sum())} of {len(y)} are ringed, for "
        "their class is another one.",
        f"{method} clusters. Rings: the {int(wrong.sum())} of {len(y)} points whose class is "
        "another one. Stars: the centres.",
    )
