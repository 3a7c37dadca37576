"""Cluster scikit-learn's 8 x 8 digits by Euclidean and by geodesic distance."""

from sklearn.cluster import KMeans

import pullback as pb


def run(epochs: int = 100) -> dict[str, float]:
    """Train a VAE, cluster held-out codes twice, print and return the label-matched F1."""
    X, y = pb.datasets.digits(digits=(0, 1, 2))
    X_train, X_test, _, y_test = pb.datasets.split(X, y, test_fraction=0.3, random_state=0)
    vae = pb.models.VAE(data_dim=64, latent_dim=2, n_centers=32)
    vae.fit(X_train, epochs=epochs, progress=False)
    Z = vae.encode(X_test).double()
    M = pb.Manifold(vae, data=vae.encode(X_train))
    labels = {
        "Euclidean": KMeans(3, n_init=10, random_state=0).fit_predict(Z.numpy()),
        "geodesic": pb.statistics.KMeans(M, 3, random_state=0).fit_predict(Z),
    }
    scores = {
        name: pb.statistics.clustering_scores(y_test, found)["macro_f1"]
        for name, found in labels.items()
    }
    for name, score in scores.items():
        print(f"{name:>9}: macro F1 {score:.3f}")
    return scores


if __name__ == "__main__":
    run()
