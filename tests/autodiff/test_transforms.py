"""Forward-mode derivatives against reverse mode, which shares no code with them."""

import pytest
import torch
from torch.distributions import Distribution, Normal

from pullback.autodiff import jacobian, jvp, second_order, unvalidated_distributions

WEIGHT = torch.linspace(-1, 1, 15, dtype=torch.float64).reshape(3, 5)


def f(z):
    """A map R^3 -> R^5 whose last output does not depend on z."""
    hidden = torch.tanh(z @ WEIGHT) * z.square().sum(-1, keepdim=True)
    return torch.cat([hidden[..., :4], torch.ones_like(hidden[..., 4:])], -1)


@pytest.mark.parametrize("batch", [(), (4,), (2, 3), (0,)])
def test_derivatives_agree_with_reverse_mode(batch):
    z = torch.randn(*batch, 3, dtype=torch.float64)
    v, r = torch.randn_like(z), torch.randn(*batch, 5, dtype=torch.float64)
    value, J = jacobian(f, z)
    pushed = jvp(f, z, v)
    at = second_order(f, z, r)
    assert value.shape == (*batch, 5)
    assert J.shape == (*batch, 5, 3)
    assert at.hessian.shape == (*batch, 3, 3)
    for i in range(z.reshape(-1, 3).shape[0]):
        point, covector = z.reshape(-1, 3)[i], r.reshape(-1, 5)[i]
        truth = torch.autograd.functional.jacobian(f, point)
        hessian = torch.autograd.functional.hessian(lambda z, r=covector: f(z) @ r, point)
        torch.testing.assert_close(J.reshape(-1, 5, 3)[i], truth)
        torch.testing.assert_close(at.jacobian.reshape(-1, 5, 3)[i], truth)
        torch.testing.assert_close(at.gradient.reshape(-1, 3)[i], truth.T @ covector)
        torch.testing.assert_close(at.hessian.reshape(-1, 3, 3)[i], hessian)
        torch.testing.assert_close(pushed[1].reshape(-1, 5)[i], truth @ v.reshape(-1, 3)[i])
    torch.testing.assert_close(value, f(z))
    torch.testing.assert_close(at.value, f(z))
    torch.testing.assert_close(pushed[0], f(z))


def test_a_jacobian_can_itself_be_differentiated():
    z = torch.randn(3, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(jacobian(f, z)[1].square().sum(), z)
    step = 1e-6 * torch.eye(3, dtype=torch.float64)

    def size(z):
        return torch.autograd.functional.jacobian(f, z).square().sum()

    with torch.no_grad():
        at = [(size(z + h) - size(z - h)) / 2e-6 for h in step]
    torch.testing.assert_close(gradient, torch.stack(at), rtol=1e-6, atol=1e-6)


def test_distributions_are_checked_again_afterwards():
    before = Distribution._validate_args

    def fail():
        with unvalidated_distributions():
            Normal(torch.tensor(torch.nan), 1.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert Distribution._validate_args is before
    with pytest.raises(ValueError, match="loc"):
        Normal(torch.tensor(torch.nan), 1.0)
