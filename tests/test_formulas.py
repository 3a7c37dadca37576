"""Formulas in the place of operations: the same values, and derivatives as differences say."""

import pytest
import torch
import torch.nn.functional as F
from torch.linalg import cholesky

from pullback.autodiff import decomposed, jvp, second_order

WEIGHT = torch.sin(torch.arange(32.0, dtype=torch.float64)).reshape(2, 16)


def square(z, n=3):
    """Regular matrices `(batch, n, n)`."""
    return torch.sin(z @ WEIGHT[:, : n * n]).reshape(-1, n, n) + 2 * torch.eye(n, dtype=z.dtype)


def positive(z):
    return square(z) @ square(z).mT


def wide(z):
    return torch.cat([z, z**2], -1)


def images(z):
    return torch.sin(z @ WEIGHT).reshape(-1, 4, 2, 2)


NORMALISED = (None, None, 1e-5)
OPERATIONS = {
    "silu": (F.silu, torch._C._nn.silu, torch.ops.aten.silu),
    "mish": (F.mish, torch.ops.aten.mish.default),
    "glu": (F.glu, torch.ops.aten.glu.default),
    "group norm": (
        lambda z: F.group_norm(images(z), 2),
        lambda z: torch.group_norm(images(z), 2),
        lambda z: torch.native_group_norm(images(z), None, None, len(z), 4, 4, 2, 1e-5)[0],
        lambda z: torch.ops.aten.group_norm.default(images(z).permute(0, 2, 3, 1), 2),
    ),
    "instance norm": (
        lambda z: F.instance_norm(images(z)),
        lambda z: torch.instance_norm(images(z), *[None] * 4, True, 0.1, 1e-5, False),
    ),
    "layer norm": (
        lambda z: F.layer_norm(wide(z), (4,), torch.arange(4.0).double(), torch.ones(4).double()),
        lambda z: torch.layer_norm(wide(z), (4,)),
        lambda z: torch.native_layer_norm(wide(z), (4,), *NORMALISED)[0],
        lambda z: torch.ops.aten.layer_norm.default(wide(z), [4]),
    ),
    "det": (
        lambda z: torch.det(square(z)),
        lambda z: torch.linalg.det(square(z, 2)),
        lambda z: square(z, 4).det(),
        lambda z: torch.linalg.det(square(z, 1)),
    ),
    "slogdet": (
        lambda z: torch.linalg.slogdet(square(z)).logabsdet,
        lambda z: (-square(z)).slogdet()[1],
        lambda z: torch.slogdet(-square(z))[0] + z[:, 0],
    ),
    "logdet": (lambda z: torch.logdet(positive(z)), lambda z: positive(z).logdet()),
    "solve": (
        lambda z: torch.linalg.solve(square(z), WEIGHT[0, :3]),
        lambda z: torch.linalg.solve(square(z), square(z) ** 2),
        lambda z: torch.linalg.solve(square(z), square(z) ** 2, left=False),
        lambda z: torch.linalg.solve(square(z), square(z)[:, 0] ** 2),
        lambda z: torch.linalg.solve_ex(square(z), square(z) ** 2)[0],
    ),
    "cholesky inverse": (
        lambda z: torch.cholesky_inverse(cholesky(positive(z))),
        lambda z: torch.cholesky_inverse(cholesky(positive(z)).mT, upper=True),
    ),
    "householder": (
        lambda z: torch.linalg.householder_product(square(z), square(z)[:, 0]),
        lambda z: torch.orgqr(square(z)[..., :2], square(z)[:, 0, :2]),
    ),
    "cumprod": (
        lambda z: torch.cumprod(wide(z), 1),
        lambda z: (wide(z) * torch.tensor([1.0, 0.0, 1.0, 1.0], dtype=z.dtype)).cumprod(-1),
    ),
    "logcumsumexp": (
        lambda z: torch.logcumsumexp(300 * wide(z), 1),
        lambda z: (700 * wide(z)).logcumsumexp(-1),
    ),
    "logaddexp": (lambda z: torch.logaddexp(z, 300 * z**2),),
    "cdist": (
        lambda z: torch.cdist(z, WEIGHT.T[:3, :2]),
        lambda z: torch.cdist(z, WEIGHT.reshape(16, 2), p=3.0),
        lambda z: torch.cdist(z, torch.cat([WEIGHT.T, 1 + WEIGHT.T]) + 0.1),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_formula_is_differentiated_twice_as_differences_are(name):
    z, v = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    h = 1e-4
    for operation in OPERATIONS[name]:

        def f(z, operation=operation):
            with decomposed():
                return operation(z).reshape(len(z), -1)

        with torch.no_grad():
            value = operation(z).reshape(len(z), -1)
            torch.testing.assert_close(f(z), value, rtol=1e-12, atol=1e-12)
            slope, bend = jvp(lambda z, f=f: jvp(f, z, v)[1], z, v)
            ends = [jvp(f, z + s * h * v, v) for s in (1, -1)]
            first, second = ((a - b) / (2 * h) for a, b in zip(*ends, strict=True))
            r = torch.cos(torch.arange(value.numel(), dtype=z.dtype)).reshape(value.shape)
            along = torch.einsum("ni,nij,nj->n", v, second_order(f, z, r).hessian, v)
        near = 1e-5 * (1 + second.abs().max())
        torch.testing.assert_close(slope, first, rtol=1e-5, atol=float(1e-5 * first.abs().max()))
        assert (bend - second).abs().max() < near
        assert (along - (r * second).sum(-1)).abs().max() < value.shape[1] * near


def test_a_determinant_is_right_where_a_matrix_is_singular():
    def f(z):
        with decomposed():
            turned = torch.stack([-z[..., 1], z[..., 0]], -1)
            return torch.linalg.det(torch.stack([z, turned], -2)).unsqueeze(-1)  # |z|^2

    z, r = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
    at = second_order(f, z, r)
    assert at.jacobian.tolist() == [[[0.0, 0.0]]]
    assert at.hessian.tolist() == [[[2.0, 0.0], [0.0, 2.0]]]
