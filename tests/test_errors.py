"""What the checks at the door refuse, and that they say why."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

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
    [
        int,
        complex,
        "float",
        "real",
        torch.float16,
        torch.complex64,
        np.int32,
        np.longdouble,
        None,
        64,
        torch.Tensor,
        object,
        np.dtype("U3"),
        [("a", "f8")],
    ],
)
def test_what_is_no_type_to_compute_in_is_refused(given):
    with pytest.raises(InvalidParameterError, match=r"`dtype` must be torch\.float64 or torch\."):
        pb.Manifold(lambda z: z, dim=1, dtype=given)


@pytest.mark.parametrize("given", ["", None, 3, b"", b"folder", "a\0b", torch.ones(2)])
def test_what_is_no_path_is_refused(given):
    with pytest.raises(InvalidParameterError, match="`path` must be a path"):
        check_path("path", given)


SINGLE = torch.tensor(ENTRIES)
DATA_FRAME = pd.DataFrame(ENTRIES, columns=["a", "b"])
MEANT = {
    "big-endian": ENTRIES.astype(">f8"),
    "big-endian integers": ENTRIES.astype(">i4"),
    "long double": ENTRIES.astype(np.longdouble),
    "half": ENTRIES.astype(np.float16),
    "bfloat16": SINGLE.bfloat16(),
    "uint64": ENTRIES.astype(np.uint64),
    "objects": ENTRIES.astype(object),
    "matrix": np.asmatrix(ENTRIES),
    "nullable frame": DATA_FRAME.convert_dtypes(),
    "arrow frame": DATA_FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "list of tensors": list(SINGLE),
    "tensor and list": [SINGLE[0], *ENTRIES[1:].tolist()],
    "fractions": [[Fraction(int(x)) for x in row] for row in ENTRIES],
    "read only": np.broadcast_to(ENTRIES, (3, 2)),
}


@pytest.mark.parametrize("kind", MEANT)
def test_numbers_are_taken_for_what_they_are(kind):
    points = check_points("x", MEANT[kind])
    assert points.dtype == torch.float64
    assert torch.equal(points, SINGLE)


def test_a_list_of_tensors_keeps_its_derivatives():
    a = torch.tensor([1.0, 2.0], requires_grad=True)
    check_points("x", [a, 3 * a]).sum().backward()
    assert a.grad.tolist() == [4.0, 4.0]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (SINGLE.to_sparse(), r"dense tensor, but its layout is sparse_coo. Call `x.to_dense\(\)`"),
        (SINGLE.to("meta"), "on the device `meta`: it has a shape but no values"),
        (csr_array(ENTRIES), r"must be dense, but is sparse. Call `x.toarray\(\)`"),
        ((x for x in ENTRIES), "nested sequences of numbers, but is a generator"),
        (None, "nested sequences of numbers, but is a NoneType"),
        ({"a": 1}, "nested sequences of numbers, but is a dict"),
        (pd.DataFrame({"a": [1, None, 3]}, dtype="Int64"), r"1 of its 3 entries .* index \(1, 0\)"),
        ([[1, "a"]], "real numbers, but its type is <U"),
        ([[object()]], "object, and it holds a object"),
        ([[10**400, 1]], "a whole number beyond float64"),
        (np.array([[np.longdouble("1e4000"), 1]]), "1 of its 2 entries are NaN or infinite"),
        ([SINGLE[0], SINGLE[0, :1]], "a list that holds tensors which cannot be stacked"),
        ([[SINGLE[0].clone().requires_grad_()]], "must be a regular array"),
    ],
    ids=lambda given: type(given).__name__,  # not its text, which may tell an address
)
def test_what_holds_no_numbers_is_refused(points, message):
    with pytest.raises(InvalidDataError, match=message):
        check_points("x", points)
