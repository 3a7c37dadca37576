"""The encoder of a model as the first step of a pipeline: from data to latent points."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import validate_data

from pullback.errors import InvalidParameterError, check_data, check_integer
from pullback.models import VAE
from pullback.statistics.base import rows_of, to_array

__all__ = ["Encoder"]


class Encoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Transforms data x into their mean codes E_q(z|x)[z] under a trained model.

    The model is used as it is: `fit` trains nothing, and copies of this transformer, as
    `GridSearchCV` makes them, share it. So the codes of a held-out fold come from a model that may
    have been trained on it; what is validated is the estimator that follows.

    Args:
        vae: a `VAE` that has been trained.
        batch_size: points that are encoded at once.

    Attributes:
        n_features_in_: the data dimension D.

    Example:
        >>> from sklearn.pipeline import make_pipeline
        >>> from pullback.manifolds import Manifold
        >>> from pullback.statistics import KNeighborsClassifier
        >>> vae = VAE(data_dim=5, latent_dim=2)
        >>> X = torch.randn(40, 5).numpy()
        >>> y = [0, 1] * 20
        >>> classes = make_pipeline(Encoder(vae), KNeighborsClassifier(Manifold(vae), 1)).fit(X, y)
        >>> classes.predict(X[:4]).tolist()
        [0, 1, 0, 1]
    """

    n_features_in_: int

    def __init__(self, vae: VAE, *, batch_size: int = 4096) -> None:
        self.vae = vae
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None) -> "Encoder":
        """Check that the data suit the model.

        Args:
            X: data, shape `(n, D)`.
            y: ignored; for the scikit-learn contract.

        Returns:
            The transformer itself.

        Raises:
            InvalidParameterError: a setting is out of range.
            InvalidDataError: bad data.
        """
        del y
        vae: Any = self.vae
        if not isinstance(vae, VAE):
            raise InvalidParameterError("vae", "a `VAE`", type(vae).__name__)
        check_integer("batch_size", self.batch_size)
        self._data(X, reset=True)
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Encode data.

        Args:
            X: data, shape `(n, D)`.

        Returns:
            Latent points, shape `(n, d)`.

        Raises:
            InvalidDataError: bad data.
        """
        data = self._data(X, reset=False)
        with torch.no_grad():
            codes = [self.vae.encode(block) for block in data.split(self.batch_size)]
        return to_array(torch.cat(codes))

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Decode latent points `(n, d)` to the means of p(x|z), shape `(n, D)`."""
        codes = check_data("X", X, dim=self.vae.latent_dim, min_samples=1)
        with torch.no_grad():
            means = [self.vae.decode(block) for block in codes.split(self.batch_size)]
        return to_array(torch.cat(means))

    def _data(self, X: Any, *, reset: bool) -> torch.Tensor:
        X = rows_of("X", X)
        checks: dict[str, Any] = {"skip_check_array": True}
        if not isinstance(X, torch.Tensor):
            checks = {"dtype": [np.float64, np.float32], "ensure_all_finite": False}
        data = validate_data(self, X, reset=reset, **checks)
        return check_data("X", data, dim=self.vae.data_dim, min_samples=1).detach()

    @property
    def _n_features_out(self) -> int:
        return int(self.vae.latent_dim)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> "Encoder":
        return Encoder(self.vae, batch_size=self.batch_size)
