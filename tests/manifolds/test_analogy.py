"""Analogies and attribute vectors: in flat spaces differences, in curved ones isometries."""

import math

import pytest
import torch

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds import Manifold
from pullback.manifolds.reference import (
    HalfPlane,
    curved_plane,
    curved_plane_inverse,
    great_circle_dist,
    stereographic,
)

FLAT, SPHERE = Manifold(curved_plane, dim=2), Manifold(stereographic, dim=2)
PLANE = Manifold(HalfPlane())


def points(*rows):
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.slow
def test_in_a_flat_space_it_is_the_fourth_corner():
    a, b, c = torch.randn(3, 4, 2, dtype=torch.float64) / 2
    found = FLAT.analogy(a, b, c)
    assert found.converged.all()
    wanted = curved_plane_inverse(curved_plane(c) + curved_plane(b) - curved_plane(a))
    torch.testing.assert_close(found.point, wanted, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_on_the_half_plane_a_rise_is_a_rise_anywhere():
    found = PLANE.analogy([0.0, 1.0], [0.0, 2.0], [0.0, 5.0])
    torch.testing.assert_close(found.point, points([0.0, 10.0])[0], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_the_change_is_as_long_as_it_was():
    a, b, c = points([0.1, 0.2], [0.6, 0.1], [-0.4, 0.5])
    found = SPHERE.analogy(a, b, c)
    wanted = great_circle_dist(a, b)
    torch.testing.assert_close(great_circle_dist(c, found.point), wanted, rtol=1e-4, atol=0)
    torch.testing.assert_close(SPHERE.norm(c, found.tangent_vector), wanted, rtol=1e-4, atol=0)


@pytest.mark.thorough
def test_a_is_to_b_as_a_is_to_b():
    a, b = points([0.1, 0.2], [0.6, 0.1])
    torch.testing.assert_close(SPHERE.analogy(a, b, a).point, b, rtol=0, atol=1e-4)
    torch.testing.assert_close(SPHERE.analogy(a, a, b).point, b, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_what_fails_is_said_and_the_rest_stands():
    found = PLANE.analogy([0.0, 1.0], [0.0, 2.0], [[0.0, 3.0], [0.0, -1.0]])
    assert found.converged.tolist() == [True, False]
    assert found.point[1].isnan().all()
    assert found.point[0].isfinite().all()


@pytest.mark.thorough
def test_an_attribute_of_a_flat_space_is_the_difference_of_means():
    image = torch.randn(8, 2, dtype=torch.float64) / 3
    image[4:, 0] += 1
    has = torch.arange(8) >= 4
    more = FLAT.attribute_vector(curved_plane_inverse(image), has)
    assert more.n_failed == 0
    shift = image[has].mean(0) - image[~has].mean(0)
    c = points([0.3, -0.5], [0.0, 1.0])
    for amount in (1.0, -0.5):
        wanted = curved_plane_inverse(curved_plane(c) + amount * shift)
        torch.testing.assert_close(more.apply(c, amount).point, wanted, rtol=0, atol=2e-3)


@pytest.mark.slow
def test_adding_an_attribute_of_zero_changes_nothing():
    codes, has = points([0.0, 1.0], [0.0, 2.0]), torch.tensor([False, True])
    more = PLANE.attribute_vector(codes, has, base=[0.0, 1.0])
    torch.testing.assert_close(
        more.tangent_vector, points([0.0, math.log(2)])[0], rtol=1e-4, atol=1e-6
    )
    c = points([0.0, 3.0])[0]
    torch.testing.assert_close(more.apply(c, 0.0).point, c)
    torch.testing.assert_close(more.apply(c).point, 2 * c, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_bad_input_is_refused():
    codes = points([0.0, 1.0], [0.0, 2.0])
    with pytest.raises(InvalidDataError, match="must be booleans"):
        PLANE.attribute_vector(codes, [0, 1])
    with pytest.raises(InvalidDataError, match="all are alike"):
        PLANE.attribute_vector(codes, [True, True])
    with pytest.raises(InvalidDataError, match="`codes` must have 2 features"):
        PLANE.attribute_vector([[1.0], [2.0]], [True, False])
    with pytest.raises(InvalidParameterError, match="broadcasts"):
        PLANE.analogy(torch.ones(2, 2), torch.ones(3, 2), [0.0, 1.0])
    more = PLANE.attribute_vector(codes, [True, False])
    with pytest.raises(InvalidParameterError, match="`amount`"):
        more.apply([0.0, 1.0], math.nan)
