"""The search in the page finds what the manifold finds: the same table, the same starts."""

import numpy as np
import pytest
import torch

N_PAIRS = 500


@pytest.fixture(scope="module")
def pairs(plane):
    rng = np.random.default_rng(0)
    first, second = rng.integers(len(plane.Z), size=(2, 2 * N_PAIRS))
    differ = np.flatnonzero(first != second)[:N_PAIRS]
    return plane.Z[first[differ]], plane.Z[second[differ]]


@pytest.fixture(scope="module")
def found(page, pairs, ask):
    """What the page answers first, what more when points rest, and how long each answer took."""
    ends = [{"a": a, "b": b} for a, b in zip(*(part.tolist() for part in pairs), strict=True)]
    first, waits = ask(page, [{"type": "path", **both, "n_images": 9} for both in ends])
    kinds = [path["more"] for path in first]
    rest = [{"type": kind, **both} for kind, both in zip(kinds, ends, strict=True)]
    more, longer = ask(page, rest)
    return first, more, waits, longer


@pytest.mark.thorough
def test_geodesics_of_five_hundred_pairs_are_those_of_python(plane, pairs, found):
    first, more, waits, longer = found
    truth = plane.manifold.geodesic(*pairs)
    off, on_table = (
        np.abs([answer["geodesic"]["length"] for answer in answers] / truth.length.numpy() - 1)
        for answers in (more, first)
    )
    certified = np.array([answer["certified"] for answer in more])
    told = [np.quantile(values, [0.5, 0.9, 1]) for values in (off, on_table, waits, longer)]
    words = "off by {} of the length, {} on the table; ms: {}, {} more".format(*told)
    print(f"{words}; {certified.mean():.3f} certified")  # noqa: T201
    assert len(more) == N_PAIRS
    assert off.max() < 1e-4
    assert on_table.max() < 1e-3
    assert not any(answer["certified"] for answer in first)
    assert bool(truth.converged[torch.as_tensor(certified)].all())
    assert certified.mean() > 0.95
    points = np.array([answer["geodesic"]["points"] for answer in first])
    gap = np.abs(points - truth.points(points.shape[1]).numpy()).max((1, 2))
    extent = float((plane.Z.amax(0) - plane.Z.amin(0)).amax())
    assert np.quantile(gap, 0.99) < 1e-4 * extent


@pytest.mark.thorough
def test_all_that_is_shown_of_a_path_is_what_the_server_shows(plane, pairs, found):
    from pullback.explorer.answers import View, answer
    from pullback.explorer.messages import Path

    for k in range(0, N_PAIRS, 50):
        here, more = found[0][k], found[1][k]
        there = answer(plane, View(), Path(pairs[0][k], pairs[1][k], 9))
        assert more["status"] == there["status"]
        for told, rtol in ((here, 2e-3), (more, 1e-4)):
            straight = told["straight"]["length"]
            assert straight == pytest.approx(there["straight"]["length"], rel=rtol)
        for kind in ("geodesic", "straight"):
            strips = [told["images"][kind] for told in (here, there)]
            assert strips[0]["names"] == strips[1]["names"]
            np.testing.assert_allclose(strips[0]["values"], strips[1]["values"], atol=1e-3)
            np.testing.assert_allclose(here["steps"][kind], there["steps"][kind], atol=1e-3)
        bound = [word for word in there["words"] if word.startswith("No way can be shorter")]
        assert [word for word in more["words"] if word.startswith("No way")] == bound


@pytest.mark.slow
def test_samples_layers_and_what_needs_python_are_answered(page, plane, ask):
    far = [1e6, 0.0]
    asked = [
        {"type": "sample", "index": 3},
        {"type": "layer", "name": "log_volume"},
        {"type": "fan", "n": 3},
        {"type": "layer", "name": "depth"},
        {"type": "path", "a": [0.0, 0.0], "b": [0.0, 0.0], "n_images": 9},
        {"type": "path", "a": [0.0, 0.0], "b": far, "n_images": 9},
    ]
    sample, layer, fan, depth, still, beyond = ask(page, asked)[0]
    assert sample["columns"]["side"] in ("right", "</script><b>left")
    assert sample["columns"]["height"] is None
    row = plane.decode(plane.Z[3:4])[0]
    named = dict(zip(sample["strip"]["names"], sample["strip"]["values"][0], strict=True))
    assert named == pytest.approx({f"x{k + 1}": u for k, u in enumerate(row)}, rel=1e-4)
    assert layer["shape"] == [128, 128]
    assert (fan["type"], fan["of"]) == ("error", "fan")
    assert "needs Python" in fan["message"]
    assert "no layer depth" in depth["message"]
    assert (still["certified"], still["geodesic"]["length"]) == (True, 0)
    assert (beyond["certified"], beyond["status"]) == (False, "left_domain")
    assert beyond["words"][0].startswith("Not certified: no way")
    assert still["more"] == beyond["more"] == ""
