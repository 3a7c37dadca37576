import json

import pytest
import torch

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.explorer.messages import REQUESTS, Path, open_message

GOOD = {
    "path": {"a": [0, 0.5], "b": [1, 1], "n_images": 5},
    "layer": {"name": "curvature", "resolution": 64},
    "ball": {"point": [0, 0], "radii": [0.5, 1]},
    "fan": {"point": [0, 0], "n": 8, "length": 2},
    "clusters": {"k": 3, "distance": "geodesic"},
    "neighbors": {"index": 3, "k": 4, "distance": "euclidean"},
    "sample": {"index": 29},
    "plane": {"axes": [1, 0]},
    "python": {"paths": [{"a": [0, 0], "b": [1, 1]}]},
}


def read(scene, **message):
    return open_message(json.dumps({"id": 1, **message})).read(scene, (0, 1))


def test_every_request_has_a_good_example():
    assert set(GOOD) | {"principal"} == set(REQUESTS)  # which there is in more dimensions only


@pytest.mark.parametrize("kind", GOOD)
def test_good_messages_are_read(scene, kind):
    assert type(read(scene, type=kind, **GOOD[kind])) is REQUESTS[kind]


def test_a_path_is_what_was_said(scene):
    request = read(scene, type="path", **GOOD["path"])
    assert isinstance(request, Path)
    assert request.a.tolist() == [0.0, 0.5]
    assert request.b.tolist() == [1.0, 1.0]
    assert request.n_images == 5


# By request: a field, what stands in it, and what is said of it.
BAD = [
    ("path", "a", None, "`a` must be a list of 2 numbers, but got None"),
    ("path", "a", [0], "`a` must be a list of 2 numbers"),
    ("path", "a", [0, 0, 0], "`a` must be a list of 2 numbers"),
    ("path", "a", ["0", 0], r"`a\[0\]` must be a finite number"),
    ("path", "b", [0, True], r"`b\[1\]` must be a finite number"),
    ("path", "b", [0, 10**400], r"`b\[1\]` must be a finite number"),
    ("path", "b", [0, 99], r"`b` must be in the box \[.*\] x \[.*\], but got \[0, 99\]"),
    ("path", "n_images", 1, r"`n_images` must be an integer in \[2, 64\], but got 1"),
    ("path", "n_images", 2.0, "`n_images` must be an integer"),
    ("layer", "name", "secret", "`name` must be one of 'cells', "),
    ("layer", "resolution", 257, r"`resolution` must be an integer in \[8, 256\]"),
    ("ball", "radii", [], "`radii` must be a list of 1 to 16 entries, but got 0 entries"),
    ("ball", "radii", [1, -1], r"`radii\[1\]` must be a finite number in \(0, inf\)"),
    ("ball", "radii", 3, "`radii` must be a list"),
    ("fan", "n", 10**9, r"`n` must be an integer in \[2, 128\]"),
    ("fan", "length", 0, "`length` must be a finite number"),
    ("clusters", "k", 31, r"`k` must be an integer in \[1, 24\]"),
    ("clusters", "distance", "cosine", "`distance` must be one of 'euclidean', 'geodesic'"),
    ("neighbors", "index", 30, r"`index` must be an integer in \[0, 29\]"),
    ("neighbors", "k", 30, r"`k` must be an integer in \[1, 29\]"),
    ("sample", "index", -1, r"`index` must be an integer in \[0, 29\]"),
    ("plane", "axes", [0, 0], "`axes` must be two different ones"),
    ("plane", "axes", [0, 2], r"`axes\[1\]` must be an integer in \[0, 1\]"),
    ("plane", "axes", "01", "`axes` must be a list of 2 whole numbers"),
    ("python", "paths", [{"a": [0, 0]}], r"`paths\[0\]` must be points"),
    ("python", "paths", [{"a": [0, 0], "b": [0, 99]}], r"`paths\[0\].b` must be in the box"),
    ("sample", "code", "rm", "`code` must be left out: the fields are index, but got 'rm'"),
]


@pytest.mark.parametrize(("kind", "name", "value", "said"), BAD)
def test_what_is_wrong_is_named(scene, kind, name, value, said):
    with pytest.raises(InvalidParameterError, match=said):
        read(scene, type=kind, **{**GOOD[kind], name: value})


@pytest.mark.parametrize("kind", [kind for kind in GOOD if kind not in ("layer", "clusters")])
def test_what_is_missing_is_named(scene, kind):
    first = next(iter(GOOD[kind]))
    rest = {name: value for name, value in GOOD[kind].items() if name != first}
    with pytest.raises(InvalidParameterError, match=f"`{first}` must be given, but got nothing"):
        read(scene, type=kind, **rest)


@pytest.mark.parametrize("kind", ["walk", None, 3, ["path"], "__class__"])
def test_an_unknown_request_is_refused(scene, kind):
    with pytest.raises(InvalidParameterError, match="`type` must be one of 'ball', "):
        read(scene, type=kind)


@pytest.mark.parametrize("number", [None, -1, 1.5, True, "1", 2**53, [1]])
def test_a_message_needs_a_number(scene, number):
    message = json.dumps({"id": number, "type": "sample", "index": 0})
    with pytest.raises(InvalidParameterError, match="`id` must be a whole number"):
        open_message(message).read(scene, (0, 1))


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("", "must be JSON"),
        ("nonsense", "must be JSON"),
        ('{"id": NaN}', "NaN is no number"),
        ('{"id": -Infinity}', "-Infinity is no number"),
        ("[" * 60_000, "must be JSON"),
        ("1" * 60_000, "must be JSON"),
        ('"\\ud800"', "must be a JSON object"),
        ("[1, 2]", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("x" * 70_000, "64 KiB long at most"),
        ("ä" * 40_000, "64 KiB long at most"),
        (b'{"id": 1}', "is binary"),
    ],
)
def test_what_is_no_message_is_refused(message, said):
    with pytest.raises(InvalidDataError, match=said):
        open_message(message)


def test_a_point_of_the_plane_keeps_the_mean_along_the_other_axes(solid):
    message = {"id": 1, "type": "path", "a": [0.5, -0.5], "b": [0.1, 0.2, 0.3]}
    request = open_message(json.dumps(message)).read(solid, (2, 0))
    mean = solid.Z.mean(0)
    torch.testing.assert_close(
        request.a, torch.stack([torch.tensor(-0.5), mean[1], torch.tensor(0.5)]).double()
    )
    assert request.b.tolist() == [0.1, 0.2, 0.3]
