"""What the page may ask: each request is read, and refused in words where it is none."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    check_choice,
    check_integer,
    check_number,
)
from pullback.explorer.fields import Fields, shortened
from pullback.explorer.planes import PRINCIPAL
from pullback.explorer.scene import Scene

__all__ = [
    "LAYERS",
    "REQUESTS",
    "Ball",
    "Clusters",
    "Envelope",
    "Fan",
    "Layer",
    "Neighbors",
    "Path",
    "Plane",
    "Principal",
    "PythonCode",
    "Request",
    "Sample",
    "open_message",
]

LAYERS = ("log_volume", "sigma", "curvature", "density", "cells")
"""What may be mapped over the plane."""
_DISTANCES = ("euclidean", "geodesic")
# The longest message, in bytes. By judgement: a hundred kept paths of many dimensions fit.
_LONGEST = 64 * 1024
# The most images along a path, radii of balls, geodesics of a fan, clusters, and neighbours. By
# judgement: more cannot be told apart in a picture.
_IMAGES, _RADII, _RAYS, _CLUSTERS, _NEIGHBORS = 64, 16, 128, 24, 100
# The fewest and the most points of a layer along each axis.
_COARSEST, _FINEST = 8, 256


@dataclass(frozen=True)
class Request:
    """A request that was read. Those of one `lane` are worked on one after the other.

    Those of the lane "now" take no time, and what they change holds for all that come after them.

    Example:
        >>> Path.lane, Layer.lane
        ('quick', 'slow')
    """

    lane: ClassVar[str] = "quick"

    @classmethod
    def read(cls, fields: Fields) -> "Request":
        """Take its fields, or raise an error that names one, what is allowed and what came."""
        raise NotImplementedError


@dataclass(frozen=True)
class Path(Request):
    """The geodesic and the straight line from a to b.

    Example:
        >>> import torch
        >>> Path(torch.zeros(2), torch.ones(2), n_images=9).b.tolist()
        [1.0, 1.0]
    """

    a: Tensor
    b: Tensor
    n_images: int

    @classmethod
    def read(cls, fields: Fields) -> "Path":
        """Take its fields."""
        n_images = fields.integer("n_images", 2, _IMAGES, 9)
        return cls(fields.point("a"), fields.point("b"), n_images)


@dataclass(frozen=True)
class Layer(Request):
    """A map of the plane.

    Example:
        >>> Layer("curvature", resolution=64).name in LAYERS
        True
    """

    name: str
    resolution: int
    lane: ClassVar[str] = "slow"

    @classmethod
    def read(cls, fields: Fields) -> "Layer":
        """Take its fields."""
        name = fields.choice("name", LAYERS)
        return cls(name, fields.integer("resolution", _COARSEST, _FINEST, 128))


@dataclass(frozen=True)
class Ball(Request):
    """Geodesic balls around a point.

    Example:
        >>> import torch
        >>> Ball(torch.zeros(2), radii=(0.5, 1.0)).radii
        (0.5, 1.0)
    """

    point: Tensor
    radii: tuple[float, ...]

    @classmethod
    def read(cls, fields: Fields) -> "Ball":
        """Take its fields."""
        radii = [
            check_number(f"radii[{k}]", radius, 0, open_low=True)
            for k, radius in enumerate(fields.items("radii", _RADII))
        ]
        return cls(fields.point("point"), tuple(radii))


@dataclass(frozen=True)
class Fan(Request):
    """Geodesics in n directions from a point.

    Example:
        >>> import torch
        >>> Fan(torch.zeros(2), n=24, length=1.0).length
        1.0
    """

    point: Tensor
    n: int
    length: float

    @classmethod
    def read(cls, fields: Fields) -> "Fan":
        """Take its fields."""
        n = fields.integer("n", 2, _RAYS, 24)
        return cls(fields.point("point"), n, fields.positive("length"))


@dataclass(frozen=True)
class Clusters(Request):
    """K-means of the codes.

    Example:
        >>> Clusters(3, distance="geodesic").lane
        'slow'
    """

    k: int
    distance: str
    lane: ClassVar[str] = "slow"

    @classmethod
    def read(cls, fields: Fields) -> "Clusters":
        """Take its fields."""
        k = fields.integer("k", 1, min(_CLUSTERS, fields.scene.n))
        return cls(k, fields.choice("distance", _DISTANCES, "geodesic"))


@dataclass(frozen=True)
class Neighbors(Request):
    """The samples nearest to one.

    Example:
        >>> Neighbors(17, k=8, distance="geodesic").k
        8
    """

    index: int
    k: int
    distance: str

    @classmethod
    def read(cls, fields: Fields) -> "Neighbors":
        """Take its fields."""
        index = fields.integer("index", 0, fields.scene.n - 1)
        k = fields.integer("k", 1, max(1, min(_NEIGHBORS, fields.scene.n - 1)), 8)
        return cls(index, k, fields.choice("distance", _DISTANCES, "geodesic"))


@dataclass(frozen=True)
class Sample(Request):
    """What one sample is.

    Example:
        >>> Sample(17).index
        17
    """

    index: int

    @classmethod
    def read(cls, fields: Fields) -> "Sample":
        """Take its fields."""
        return cls(fields.integer("index", 0, fields.scene.n - 1))


@dataclass(frozen=True)
class Plane(Request):
    """Another plane of a space of more than two dimensions.

    Example:
        >>> Plane((0, 2)).axes
        (0, 2)
    """

    axes: tuple[int, int] | str
    lane: ClassVar[str] = "now"

    @classmethod
    def read(cls, fields: Fields) -> "Plane":
        """Take its fields."""
        given = fields.take("axes")
        if given == PRINCIPAL:
            return cls(_known_principal(fields))
        if not isinstance(given, list) or len(given) != 2:
            raise InvalidParameterError("axes", "a list of 2 whole numbers", shortened(given))
        i, j = (check_integer(f"axes[{k}]", x, 0, fields.scene.d - 1) for k, x in enumerate(given))
        if i == j:
            raise InvalidParameterError("axes", "two different ones", shortened(given))
        return cls((i, j))


@dataclass(frozen=True)
class Principal(Request):
    """The plane of the principal geodesics: to be found, before it can be shown.

    Example:
        >>> Principal().lane
        'slow'
    """

    lane: ClassVar[str] = "slow"

    @classmethod
    def read(cls, fields: Fields) -> "Principal":
        """Take its fields, which are none."""
        if fields.scene.d == 2:
            allowed = "another one: a space of two dimensions is shown whole"
            raise InvalidParameterError("type", allowed, "principal")
        return cls()


@dataclass(frozen=True)
class PythonCode(Request):
    """The Python that makes paths.

    Of paths that were kept in the plane of the principal geodesics, it makes the plane too.

    Example:
        >>> import torch
        >>> len(PythonCode(((torch.zeros(2), torch.ones(2)),)).paths)
        1
    """

    paths: tuple[tuple[Tensor, Tensor], ...]
    in_principal: bool = False
    lane: ClassVar[str] = "now"

    @classmethod
    def read(cls, fields: Fields) -> "PythonCode":
        """Take its fields."""
        plane = fields.choice("plane", ("axes", PRINCIPAL), "axes")
        in_principal = plane == PRINCIPAL and bool(_known_principal(fields))
        return cls(tuple(fields.pairs("paths")), in_principal)


REQUESTS: dict[str, type[Request]] = {
    "path": Path,
    "layer": Layer,
    "ball": Ball,
    "fan": Fan,
    "clusters": Clusters,
    "neighbors": Neighbors,
    "sample": Sample,
    "plane": Plane,
    "principal": Principal,
    "python": PythonCode,
}
"""What may be asked, by the type of the message."""


@dataclass(frozen=True)
class Envelope:
    """A message as it came: its number, its type, and the other fields.

    Example:
        >>> envelope = open_message('{"id": 3, "type": "sample", "index": 7}')
        >>> envelope.id, envelope.type, envelope.body
        (3, 'sample', {'index': 7})
    """

    id: int | None
    type: str | None
    body: dict[str, Any]

    def read(self, scene: Scene, axes: tuple[int, int] | str) -> Request:
        """Return the request that it holds.

        Raises:
            InvalidParameterError: there is no such request, or a field is not as it must be.
        """
        if self.id is None:
            raise InvalidParameterError("id", "a whole number from 0 on", "another thing")
        kind = check_choice("type", self.type, REQUESTS)
        fields = Fields(self.body, scene, axes)
        request = REQUESTS[kind].read(fields)
        fields.refuse_others()
        return request


def open_message(message: str | bytes) -> Envelope:
    """Open a message without yet reading what it asks.

    Args:
        message: JSON text.

    Raises:
        InvalidDataError: it is too long, or no JSON object.

    Example:
        >>> open_message("[1]")
        Traceback (most recent call last):
        pullback.errors.InvalidDataError: A message must be a JSON object, such as ...
    """
    example = '{"id": 1, "type": "sample", "index": 0}'
    if isinstance(message, bytes):
        raise InvalidDataError(f"A message must be text, such as {example}, but is binary.")
    if len(message.encode("utf-8", "surrogatepass")) > _LONGEST:
        raise InvalidDataError(f"A message must be {_LONGEST // 1024} KiB long at most.")
    try:
        body = json.loads(message, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidDataError(f"A message must be JSON, such as {example} ({error}).") from None
    if not isinstance(body, dict):
        raise InvalidDataError(f"A message must be a JSON object, such as {example}.")
    number, kind = body.pop("id", None), body.pop("type", None)
    known = isinstance(number, int) and not isinstance(number, bool) and 0 <= number < 2**53
    return Envelope(number if known else None, kind if isinstance(kind, str) else None, body)


def _known_principal(fields: Fields) -> str:
    if not fields.scene.knows_principal:
        allowed = "two axes, until the principal geodesics were asked for and found"
        raise InvalidParameterError("axes", allowed, PRINCIPAL)
    return PRINCIPAL


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")
