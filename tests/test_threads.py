"""Threads and processes: what is computed at the same time is what is computed alone."""

import os
import pickle
import random
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from joblib import Parallel, delayed
from torch import Tensor, nn
from torch.distributions import Distribution, Gamma, Independent, Normal

from pullback import Manifold
from pullback.autodiff import differentiable, unvalidated_distributions
from pullback.exclusive import exclusive
from pullback.metrics import ConformalMetric, EnsembleMetric, PullbackMetric, RestrictedMetric
from pullback.randomness import draw, seeded

N_THREADS = 8
Z = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)).double()


class Network(nn.Module):
    """A decoder with what PyTorch chooses kernels for, and a distribution that checks itself."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.latent_dim = 2
        with seeded(seed):
            self.first, self.last = nn.Linear(2, 8), nn.Linear(8, 12)

    def forward(self, z: Tensor) -> Distribution:
        h = self.first(z).tanh().unflatten(-1, (4, 2))
        h = nn.functional.scaled_dot_product_attention(h, h, h).flatten(-2)
        loc, scale = self.last(h).chunk(2, -1)
        return Independent(Normal(loc, nn.functional.softplus(scale)), 1)


def manifold(seed: int) -> Manifold:
    """One with data, so that searches start on the same graph in every order of the calls."""
    return Manifold(Network(seed), data=Z)


def paraboloid(z: Tensor) -> Tensor:
    return torch.cat([z, z.square().sum(-1, keepdim=True)], -1)


def geodesic(M: Manifold, a: Tensor, b: Tensor) -> Tensor:
    path = M.geodesic(a, b)
    return torch.cat([path.length.reshape(1), path.points(5).flatten()])


def dist_with_gradient(M: Manifold, a: Tensor, b: Tensor) -> Tensor:
    a = a.clone().requires_grad_()
    length = M.dist(a, b)
    length.backward()
    return torch.cat([length.detach().reshape(1), a.grad])


def sample(M: Manifold, a: Tensor, b: Tensor) -> Tensor:
    """A draw that no generator can be given to: it seeds the global one for a moment."""
    gamma = Gamma(torch.full((5,), 0.7), 1.0)
    return draw(gamma, (3,), torch.Generator().manual_seed(int(1e6 * a[0].abs())))


def log_prob(M: Manifold, a: Tensor, b: Tensor) -> Tensor:
    x = M.decode(b)
    with exclusive():
        return M.decoder(a.unsqueeze(0)).log_prob(x)


def door(M: Manifold, a: Tensor, b: Tensor) -> Tensor:
    return Manifold(Network(int(100 * a[0].abs()))).metric_matrix(b)


OPERATIONS: list[tuple[int, Callable[[Manifold, Tensor, Tensor], Tensor]]] = [
    (300, lambda M, a, b: M.metric_matrix(a)),
    (250, lambda M, a, b: M.norm(a, b)),
    (430, lambda M, a, b: M.decode(a)),
    (400, lambda M, a, b: M.length(torch.stack([a, b]))),
    (300, log_prob),
    (230, sample),
    (25, lambda M, a, b: M.christoffels(a)),
    (25, lambda M, a, b: M.scalar_curvature(a)),
    (14, geodesic),
    (14, dist_with_gradient),
    (6, door),
    (4, lambda M, a, b: M.tabulated(Z[:5], rtol=0.3).norm(a, b - a)),
    (1, lambda M, a, b: M.exp(a, b / 50, rtol=1e-3)),
    (1, lambda M, a, b: Manifold(paraboloid, dim=2).log(a, a + b / 50)),
]
"""What is done, and how often of 2000 times."""


def calls(share: float) -> list[Callable[[], Tensor]]:
    """Operations in mixed order: half of them on one manifold, the others on one of four."""
    manifolds = [manifold(seed) for seed in (0, 1, 2, 3, 0, 0, 0, 0)]
    manifolds[4:] = [manifolds[0]] * 4
    rng, found = random.Random(0), []
    for often, operation in OPERATIONS:
        for k in range(round(share * often)):
            M, (a, b) = manifolds[k % 8], rng.sample(range(len(Z)), 2)
            found.append(partial(operation, M, Z[a], Z[b]))
    rng.shuffle(found)
    return found


def state() -> tuple[object, ...]:
    """What is shared, seen while no thread, of whatever test, is in the midst of changing it."""
    with exclusive():
        cuda, filters = torch.backends.cuda, tuple(warnings.filters)
        kernels = (
            cuda.flash_sdp_enabled(),
            cuda.mem_efficient_sdp_enabled(),
            cuda.math_sdp_enabled(),
        )
        fast, checked = torch.backends.mha.get_fastpath_enabled(), Distribution._validate_args
        return kernels, fast, checked, filters, torch.default_generator.get_state().tolist()


@pytest.fixture(autouse=True)
def one_thread_each() -> Iterator[None]:
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


@pytest.mark.thorough
@pytest.mark.parametrize("share", [0.02, pytest.param(1.0, marks=pytest.mark.slow)])
def test_eight_threads_find_the_numbers_of_one(share):
    for _, operation in OPERATIONS:
        operation(manifold(0), Z[0], Z[1])  # which imports what it needs, with filters of warnings
    doing, before = calls(share), state()
    alone = [call() for call in doing]
    with ThreadPoolExecutor(N_THREADS) as pool:
        together = list(pool.map(lambda call: call(), doing))
    # The same computation on the same batch, so the same bits.
    assert [torch.equal(a, b) for a, b in zip(alone, together, strict=True)] == [True] * len(doing)
    for was, now in zip(before, state(), strict=True):
        assert now == was


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("context", [differentiable, unvalidated_distributions, partial(seeded, 0)])
def test_the_state_of_pytorch_is_restored_whatever_happens(context, error):
    before = state()
    with pytest.raises(error), context():
        raise error
    assert state() == before
    with ThreadPoolExecutor(1) as pool:  # and the lock is free again
        assert pool.submit(exclusive().acquire, blocking=False).result()
        pool.submit(exclusive().release).result()


@pytest.mark.parametrize("context", [differentiable, unvalidated_distributions, partial(seeded, 0)])
def test_no_other_thread_comes_in_between(context):
    with context(), ThreadPoolExecutor(1) as pool:
        assert not pool.submit(exclusive().acquire, blocking=False).result()


def inverse(z: Tensor) -> Tensor:
    return torch.exp(-z.square().sum(-1))


def decorrelated() -> Manifold:
    members = [PullbackMetric(torch.sin, 2), PullbackMetric(torch.tanh, 2)]
    return Manifold(EnsembleMetric(members).decorrelated())


@pytest.mark.parametrize(
    "make",
    [
        decorrelated,
        lambda: Manifold(ConformalMetric.from_density(inverse, dim=2)),
        lambda: Manifold(RestrictedMetric(manifold(0).metric, [[1.0, 0.0], [1.0, 1.0]])),
        lambda: manifold(1).tabulated(rtol=0.3),
    ],
)
def test_what_is_made_of_functions_of_a_module_is_pickled(make):
    M = make()
    again = pickle.loads(pickle.dumps(M))
    assert torch.equal(again.metric_matrix(Z), M.metric_matrix(Z))
    if M.decoder is not None:
        assert pickle.loads(pickle.dumps(M.decoder)) is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend",
    ["threading", "multiprocessing", pytest.param("loky", marks=pytest.mark.slow)],
)
def test_joblib_takes_manifolds_and_brings_answers_back(backend):
    M = Manifold(paraboloid, dim=2, data=Z)
    work = [delayed(M.geodesic)(z, z + 0.5) for z in Z[:3]]
    found = Parallel(n_jobs=2, backend=backend, timeout=3600)(work)
    alone = [M.geodesic(z, z + 0.5) for z in Z[:3]]
    assert [torch.equal(a.length, b.length) for a, b in zip(found, alone, strict=True)] == [
        True
    ] * 3


FORKED = """
    import os, signal, sys, threading, warnings
    import torch
    import pullback as pb
    from pullback.exclusive import exclusive

    M = pb.Manifold(lambda z: torch.sin(z @ torch.ones(2, 40).to(z)), dim=2)
    Z = torch.zeros(20_000, 2).double()
    torch.set_num_threads(2)
    truth = M.metric_matrix(Z)  # enough work for PyTorch to share it between two threads
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with exclusive():
            inside.set()
            leave.wait(0.2)

    other = threading.Thread(target=hold)
    other.start()
    inside.wait()  # the other thread has the lock when this one forks
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a child that waits for ever is killed
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            same = torch.equal(M.metric_matrix(Z), truth)
        about = [str(w.message) for w in said if "was forked from" in str(w.message)]
        os._exit(0 if same and len(about) == 1 else 1)
    other.join()
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_of_many_threads_computes_with_one_and_says_so():
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(FORKED)], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
