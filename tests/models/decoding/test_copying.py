"""Modules that other code has used are copied, and stay as they are."""

import io
import pickle
import threading

import pytest
import torch
from torch import nn

from pullback import Manifold
from pullback.errors import InvalidDataError
from pullback.models import Decoder, mc_dropout
from pullback.models.decoding.copying import cast_module, copy_module


class Keeping(nn.Module):
    """Stores its activation as an attribute, in a list and in a dict."""

    latent_dim = 2

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.last = nn.Linear(2, 6), nn.Linear(6, 5)
        self.kept, self.all, self.named = None, [], {}

    def forward(self, z):
        self.kept = torch.tanh(self.layer(z))
        self.all.append(self.kept)
        self.named["kept"] = self.kept
        return self.last(self.kept)


def normed(norm):
    torch.manual_seed(0)
    return nn.Sequential(norm(nn.Linear(2, 6)), nn.Tanh(), nn.Linear(6, 5))


def hooked():
    outputs = {}
    model = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 5))
    model[1].register_forward_hook(lambda part, z, x: outputs.update(x=x))
    model[1].register_forward_hook(lambda part, z, x: setattr(part, "kept", x))
    model[1].register_full_backward_hook(lambda part, before, after: None)
    return model


KINDS = {
    "activations": Keeping,
    "weight norm": lambda: normed(nn.utils.weight_norm),
    "spectral norm": lambda: normed(nn.utils.spectral_norm),
    "hooks": hooked,
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_module_that_keeps_results_has_a_metric(kind):
    model = KINDS[kind]().eval()
    model(torch.randn(3, 2))
    before = [dict(vars(part)) for part in model.modules()]
    M = Manifold(model, dim=2)
    z = torch.tensor([0.3, -0.2], dtype=torch.float64)
    found = M.metric_matrix(z)
    assert bool(M.geodesic(z, -z).converged)
    assert M.metric.single is not None
    after = [dict(vars(part)) for part in model.modules()]
    assert all(a[name] is b[name] for a, b in zip(before, after, strict=True) for name in a)
    J = torch.autograd.functional.jacobian(lambda z: model(z[None])[0], z.float()).double()
    torch.testing.assert_close(found, J.T @ J, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_nothing_is_kept_of_the_calls_under_derivatives():
    model = Keeping()
    model(torch.randn(3, 2))
    decoder = Decoder(model)
    M = Manifold(decoder)
    M.metric_matrix(torch.zeros(2))
    assert len(model.all) == 1
    again = pickle.loads(pickle.dumps(M))
    assert torch.equal(again.metric_matrix(torch.zeros(2)), M.metric_matrix(torch.zeros(2)))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (threading.Lock, r"1.cache\['x'\]`, a lock,.*__deepcopy__"),
        (lambda: io.TextIOWrapper(io.BytesIO()), r"1.cache\['x'\]`, a TextIOWrapper"),
        (lambda: (i for i in range(3)), r"1.cache\['x'\]`, a generator"),
    ],
)
def test_an_attribute_that_cannot_be_copied_is_named(make, words):
    model = nn.Sequential(nn.Linear(2, 6), nn.Tanh())
    model[1].cache = {"y": 1, "x": make()}
    for call in (
        lambda: Manifold(model, dim=2),
        lambda: Decoder(model),
        lambda: copy_module(model),
    ):
        with pytest.raises(InvalidDataError, match=words):
            call()


def test_dropout_masks_stand_in_modules_that_keep_results():
    model = nn.Sequential(nn.Linear(2, 6), nn.Dropout(0.5), nn.Linear(6, 5))
    model.kept = model(torch.zeros(1, 2))
    (member,) = mc_dropout(model, n_samples=1).members
    assert member[0].weight is model[0].weight


class Holding(nn.Module):
    """Holds a tensor that is no buffer."""

    latent_dim = 2

    def __init__(self, dtype, cast):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.mix, self.cast = nn.Linear(2, 4), torch.randn(4, 5, dtype=dtype), cast

    def forward(self, z):
        h = torch.tanh(self.layer(z))
        return (h.double() if self.cast else h) @ self.mix


@pytest.mark.slow
@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensors_that_are_no_buffers_do_not_end_a_search(dtype, cast):
    model = Holding(dtype, cast)
    M = Manifold(model)
    z = torch.tensor([0.3, -0.2], dtype=torch.float64)
    assert bool(M.geodesic(z, -z).converged)
    assert (M.metric.single is None) is cast
    assert model.mix.dtype == dtype
    twin = cast_module(copy_module(model), torch.float64)
    J = torch.autograd.functional.jacobian(lambda z: twin(z[None])[0], z)
    torch.testing.assert_close(M.metric_matrix(z), J.T @ J)
