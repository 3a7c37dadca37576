"""What all estimators on a latent space share: their data at the door, and their files."""

import os
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state, estimator_html_repr
from sklearn.utils.validation import _check_sample_weight, validate_data
from torch import Tensor

from pullback.display import scattered
from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    check_data,
    check_integer,
    check_points,
)
from pullback.manifolds import Manifold
from pullback.shapes import Codes
from pullback.statistics.storage import read_estimator, write_estimator

__all__ = ["LatentEstimator", "numpy_generator", "numpy_random_state", "rows_of", "to_array"]

# The largest seed that NumPy's `RandomState` takes.
_SEEDS = 2**32 - 1
# Points at which the file of an estimator keeps the metric, to see when it is read whether the
# manifold is that of the fit.
_PROBES = 4

# Fitted attributes that are points of the latent space: the training points, and what was found.
_POINTS = ("Z_", "points_")
_FOUND = ("cluster_centers_", "means_", "estimate_", "mean_", "intercept_")

_Self = TypeVar("_Self", bound="LatentEstimator")


def to_array(values: Tensor) -> NDArray[Any]:
    """Return a tensor as an array, for what scikit-learn's methods return.

    Example:
        >>> to_array(torch.ones(2)).tolist()
        [1.0, 1.0]
    """
    array: NDArray[Any] = values.detach().cpu().numpy()
    return array


def rows_of(name: str, X: Any) -> Any:
    """Return data that scikit-learn's checks can take, refusing at once what has no rows.

    scikit-learn would print the whole array to say so.

    Args:
        name: the parameter's name, for the message.
        X: a matrix `(n, k)` of any kind.

    Raises:
        InvalidDataError: it is no matrix.

    Example:
        >>> rows_of("X", [[1.0], [2.0]]).tolist()
        [[1.0], [2.0]]
    """
    if isinstance(X, Tensor):
        return check_data(name, X, min_samples=0)
    try:
        shape = np.shape(X)
    except (ValueError, TypeError, RuntimeError):  # of which this tells in words
        return check_points(name, X)
    if isinstance(X, np.matrix | list | tuple):
        X = np.asarray(X)
        if X.dtype == object:
            return check_points(name, X)
    kind = getattr(getattr(X, "dtype", None), "kind", "")
    if kind == "c":
        raise InvalidDataError(
            f"`{name}` must hold real numbers, but is {X.dtype}. Complex data not supported."
        )
    if kind and kind in "USMmV":
        return check_points(name, X)
    if len(shape) == 2 or hasattr(X, "toarray"):
        return X
    if not shape:
        check_points(name, X)
    raise InvalidDataError(
        f"`{name}` must have shape (n_samples, n_features), but got {shape}. Reshape your data: "
        f"`{name}.reshape(-1, 1)` makes each number a sample, `{name}.reshape(1, -1)` all of them "
        "one sample."
    )


def numpy_generator(random_state: Any) -> np.random.Generator:
    """Make a NumPy generator of what scikit-learn or NumPy take for a random state.

    Args:
        random_state: a seed >= 0, a NumPy `Generator` or `RandomState`, or None.

    Raises:
        InvalidParameterError: it is something else.

    Example:
        >>> numpy_generator(7).random() == numpy_generator(7).random()
        True
    """
    if isinstance(random_state, np.random.RandomState):
        random_state = random_state.randint(_SEEDS)
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    return np.random.default_rng(check_integer("random_state", random_state, 0))


def numpy_random_state(random_state: Any) -> np.random.RandomState:
    """Make a NumPy `RandomState`, whose numbers scikit-learn's estimators take: `numpy_generator`.

    Example:
        >>> numpy_random_state(7).randint(9) == numpy_random_state(7).randint(9)
        True
    """
    if isinstance(random_state, np.random.Generator):
        return np.random.RandomState(random_state.integers(_SEEDS))
    if random_state is not None and not isinstance(random_state, np.random.RandomState):
        random_state = check_integer("random_state", random_state, 0, _SEEDS)
    found: np.random.RandomState = check_random_state(random_state)
    return found


class LatentEstimator(BaseEstimator):
    """An estimator by scikit-learn's contract whose data are points of a manifold.

    Methods of scikit-learn return arrays; attributes that are points or vectors of the latent space
    are tensors where the manifold computes. The settings are checked by `fit`.

    Args:
        manifold: the latent space.

    Attributes:
        n_features_in_: the latent dimension d.

    Example:
        >>> from pullback.statistics import FrechetMean
        >>> issubclass(FrechetMean, LatentEstimator)
        True
    """

    manifold: Manifold
    n_features_in_: int
    probe_: Tensor

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write settings and fitted attributes to one file: safetensors and JSON, no pickle.

        The manifold is not among them: keep its model by `VAE.save`.

        Args:
            path: the file.

        Raises:
            NotFittedError: `fit` has not been called.
            InvalidParameterError: a setting cannot be written.
            StorageError: the file cannot be written; what was there stays as it was.
        """
        write_estimator(self, path)

    @classmethod
    def load(cls: type[_Self], path: str | os.PathLike[str], manifold: Manifold) -> _Self:
        """Read what `save` wrote.

        Args:
            path: the file.
            manifold: the latent space that it was fitted on.

        Returns:
            The fitted estimator.

        Raises:
            StorageError: the file is missing, damaged or holds another estimator.
            InvalidParameterError: `manifold` is not the one that the estimator was fitted on.
        """
        estimator: _Self = read_estimator(cls, path, manifold)
        return estimator

    def _repr_html_(self) -> str:
        """Show scikit-learn's diagram, and in the plane a picture of what was fitted."""
        diagram: str = estimator_html_repr(self)
        fitted = any(name.endswith("_") and not name.startswith("_") for name in vars(self))
        return diagram + self._picture() if fitted else diagram

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        """Return what notebooks show, which ask for this first."""
        del options
        shown = {"text/plain": repr(self)}
        if get_config()["display"] == "diagram":
            shown["text/html"] = self._repr_html_()
        return shown

    def _picture(self) -> str:
        """Draw the points that were kept, or else the manifold's, and the places that were found.

        Nothing where the latent space is no plane.
        """
        points = next(
            (vars(self)[name] for name in _POINTS if vars(self).get(name) is not None),
            getattr(self.manifold, "data", None),
        )
        found = next((vars(self)[name] for name in _FOUND if name in vars(self)), None)
        marks = None if found is None else found.reshape(-1, found.shape[-1])
        return scattered(points, marks, groups=vars(self).get("labels_"))

    def _points(self, Z: Any, *, reset: bool, min_samples: int = 1) -> Codes:
        """Return data as points of the manifold, or raise; `reset` is for `fit`, which sets d."""
        self._check_manifold()
        Z = rows_of("X", Z)
        is_tensor = isinstance(Z, Tensor)
        checks: dict[str, Any] = {"skip_check_array": True}
        if not is_tensor:
            dtypes = [np.float64, np.float32]
            checks = {"dtype": dtypes, "ensure_all_finite": False, "order": "C"}
            checks |= {"ensure_min_samples": min_samples}
        data = validate_data(self, Z, reset=reset, **checks)
        codes = check_data("X", data, dim=self.manifold.dim, min_samples=min_samples).detach()
        codes = codes.to(device=self.manifold.device, dtype=self.manifold.dtype)
        if reset:
            self.probe_ = codes[:_PROBES].clone()
        return codes

    def _check_manifold(self) -> None:
        manifold: Any = self.manifold
        if not isinstance(manifold, Manifold):
            got = type(manifold).__name__
            raise InvalidParameterError(
                "manifold", "a `Manifold`", got, "Wrap it: `Manifold(...)`."
            )

    def _weights(self, sample_weight: Any, Z: Codes) -> Tensor:
        """Return the weights of the data, 1 if there are none, or raise."""
        if isinstance(sample_weight, Tensor):
            sample_weight = to_array(sample_weight)
        try:
            checked = _check_sample_weight(
                sample_weight, to_array(Z), dtype=np.float64, ensure_non_negative=True
            )
        except ValueError as error:
            raise InvalidDataError(
                f"`sample_weight` must be {len(Z)} numbers >= 0, one for each point: {error}"
            ) from error
        if not checked.any():
            raise InvalidDataError("`sample_weight` must not be 0 for all points.")
        return torch.as_tensor(checked).to(Z)
