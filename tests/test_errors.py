"""What the checks at the door refuse, and that they say why."""

import numpy as np
import pytest
import torch

import pullback as pb
from pullback.errors import (
    InvalidDataError,
    InvalidParameterError,
    cast_points,
    check_data,
    check_path,
    check_points,
)

ENTRIES = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.ones(3, 2, dtype=torch.complex64), "`x` must hold real numbers.*complex64"),
        (1j * ENTRIES, "`x` must hold real numbers.*complex128"),
        (np.ma.masked_equal(ENTRIES, 3.0), "`x` must hold a number.*1 of them are masked"),
        ([[1.0, 2.0], [3.0]], "`x` must be a regular array, but its rows differ in length"),
    ],
)
@pytest.mark.parametrize("check", [check_points, check_data])
def test_what_is_no_real_array_is_refused(check, points, message):
    with pytest.raises(InvalidDataError, match=message):
        check("x", points)


def test_a_masked_array_without_masked_entries_is_an_array():
    assert torch.equal(check_points("x", np.ma.masked_array(ENTRIES)), torch.tensor(ENTRIES))


def test_values_beyond_the_range_of_the_dtype_are_refused():
    points = torch.tensor([1.0, -1e39], dtype=torch.float64)
    with pytest.raises(InvalidDataError, match=r"`x` .*float32, at most 3\.4e\+38, .*1e\+39"):
        cast_points("x", points, torch.zeros(()))
    assert torch.equal(cast_points("x", points, points), points)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (torch.float32, torch.float32),
        ("float64", torch.float64),
        ("torch.float32", torch.float32),
        ("double", torch.float64),
        (np.float64, torch.float64),
        (np.dtype(">f4"), torch.float32),
        (float, torch.float64),
    ],
)
def test_a_type_is_what_pytorch_numpy_and_python_call_so(given, meant):
    M = pb.Manifold(lambda z: torch.cat([z, z.square()], -1), dim=1, dtype=given)
    assert M.dtype == M.metric_matrix([1.0]).dtype == meant
    assert M.metric_matrix([1.0]).item() == 5.0


@pytest.mark.parametrize(
    "given",
    [int, complex, "float", "real", torch.float16, torch.complex64, np.int32, np.longdouble]
    + [None, 64, torch.Tensor, object, np.dtype("U3"), [("a", "f8")]],
)
def test_what_is_no_type_to_compute_in_is_refused(given):
    with pytest.raises(InvalidParameterError, match=r"`dtype` must be torch\.float64 or torch\."):
        pb.Manifold(lambda z: z, dim=1, dtype=given)


@pytest.mark.parametrize("given", ["", None, 3, b"", b"folder", "a\0b", torch.ones(2)])
def test_what_is_no_path_is_refused(given):
    with pytest.raises(InvalidParameterError, match="`path` must be a path"):
        check_path("path", given)
