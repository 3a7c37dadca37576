"""Files of fitted estimators: safetensors with a JSON header, never pickle."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from pullback.errors import InvalidParameterError, StorageError, check_path
from pullback.files import FileKind
from pullback.manifolds import Manifold
from pullback.version import __version__

__all__ = ["read_estimator", "write_estimator"]

# The number of the format that is written; a file with a larger one is refused, as a newer version
# wrote it.
_FORMAT = 1
_CURE = "Save the estimator again, or restore the file from a backup."
_ESTIMATOR = FileKind("estimator", absent="save an estimator there first.", cure=_CURE)
# The share by which two metrics may differ and count as one: rounding, where one of them computes
# in single precision.
_SAME = 1e-4


def write_estimator(estimator: BaseEstimator, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator, all but its manifold, to one file.

    Args:
        estimator: the estimator.
        path: the file.

    Raises:
        NotFittedError: it has not been fitted.
        InvalidParameterError: a setting or attribute is of a kind that cannot be written.
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pullback.statistics import FrechetMean
        >>> M = Manifold(lambda z: 2 * z, dim=1)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     FrechetMean(M).fit([[1.0], [3.0]]).save(Path(folder) / "mean")
        ...     FrechetMean.load(Path(folder) / "mean", M).estimate_.tolist()
        [2.0]
    """
    check_path("path", path)
    check_is_fitted(estimator)
    tensors: dict[str, Tensor] = {}
    settings = estimator.get_params(deep=False)
    del settings["manifold"]
    fitted = {k: v for k, v in vars(estimator).items() if k.endswith("_") and k[0] != "_"}
    probe = estimator.probe_
    document = {
        "format": _FORMAT,
        "version": __version__,
        "class": type(estimator).__name__,
        "settings": {name: _encode(name, value, tensors) for name, value in settings.items()},
        "fitted": {name: _encode(name, value, tensors) for name, value in fitted.items()},
        "metric": _encode("metric", _metric_at(estimator.manifold, probe), tensors),
    }
    text = json.dumps(document)
    _ESTIMATOR.write(path, tensors, text, sha256=_digest(text, tensors))


def read_estimator(
    kind: type[BaseEstimator], path: str | os.PathLike[str], manifold: Manifold
) -> Any:
    """Read an estimator that `write_estimator` wrote.

    Args:
        kind: its class, or a base of it.
        path: the file.
        manifold: the latent space that it was fitted on.

    Raises:
        StorageError: the file is missing, damaged or holds another estimator.
        InvalidParameterError: `manifold` is not the one that the estimator was fitted on.

    Example:
        >>> from pullback.statistics import FrechetMean
        >>> read_estimator(FrechetMean, "nowhere", Manifold(lambda z: z, dim=1))
        Traceback (most recent call last):
        pullback.errors.StorageError: There is no nowhere in .: save an estimator there first.
    """
    document, tensors = _read(check_path("path", path))
    kinds = {known.__name__: known for known in (kind, *_descendants(kind))}
    if document["class"] not in kinds:
        raise StorageError(
            f"{path} holds a {document['class']}, but a {kind.__name__} is wanted: call "
            f"`{document['class']}.load`."
        )
    settings = {k: _decode(v, tensors, manifold) for k, v in document["settings"].items()}
    try:
        estimator = kinds[document["class"]](manifold=manifold, **settings)
    except TypeError as error:
        raise StorageError(f"The settings in {path} do not fit this version: {error}") from error
    for name, value in document["fitted"].items():
        setattr(estimator, name, _decode(value, tensors, manifold))
    _refuse_other_manifold(
        manifold, estimator.probe_, _decode(document["metric"], tensors, manifold)
    )
    return estimator


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    tensors, header, document = _ESTIMATOR.read(path)
    if not {"format", "version"} <= set(document):
        raise _ESTIMATOR.damaged(path, "its header does not tell of an estimator of this package")
    if document["format"] > _FORMAT:
        raise StorageError(
            f"{path} was written by pullback {document['version']}, but this is {__version__}, "
            "which does not read its format. Upgrade with `pip install --upgrade pullback`."
        )
    if header.get("sha256") != _digest(header["pullback"], tensors):
        raise StorageError(f"{path} was changed after it was saved. {_CURE}")
    return document, tensors


def _digest(text: str, tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _encode(name: str, value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a value as JSON knows it; what is large goes to `tensors`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biuf":
        return {"kind": "words", "items": _encode(name, value.tolist(), tensors)}
    if isinstance(value, Tensor | np.ndarray):
        key = str(len(tensors))
        tensors[key] = torch.as_tensor(value).clone()
        return {"kind": "tensor" if isinstance(value, Tensor) else "array", "key": key}
    if isinstance(value, list | tuple):
        return [_encode(name, item, tensors) for item in value]
    if isinstance(value, dict):
        items = {str(key): _encode(name, item, tensors) for key, item in value.items()}
        return {"kind": "dict", "items": items}
    allowed = "of numbers, texts, arrays and tensors to be written to a file"
    raise InvalidParameterError(name, allowed, f"a {type(value).__name__}")


def _decode(value: Any, tensors: dict[str, Tensor], manifold: Manifold) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors, manifold) for item in value]
    if not isinstance(value, dict):
        return value
    if value["kind"] == "dict":
        return {key: _decode(item, tensors, manifold) for key, item in value["items"].items()}
    if value["kind"] == "words":
        return np.asarray(value["items"])
    tensor = tensors[value["key"]]
    return tensor.to(manifold.device) if value["kind"] == "tensor" else tensor.numpy()


def _refuse_other_manifold(manifold: Manifold, probe: Tensor, metric: Tensor) -> None:
    if manifold.dim in (None, probe.shape[-1]):
        here = _metric_at(manifold, probe).to(metric)
        size = metric.abs().nan_to_num().amax((-2, -1), keepdim=True)
        if bool(((here - metric).abs().nan_to_num() <= _SAME * size).all()):
            return
    allowed = "the one that the estimator was fitted on"
    raise InvalidParameterError("manifold", allowed, f"{manifold!r} with another metric")


def _metric_at(manifold: Manifold, probe: Tensor) -> Tensor:
    """Measure the exact metric, so that a manifold and its table count as one."""
    return manifold.metric.exact.metric_matrix(probe).detach()


def _descendants(kind: Any) -> list[Any]:
    direct: list[Any] = kind.__subclasses__()
    return direct + [further for child in direct for further in _descendants(child)]
