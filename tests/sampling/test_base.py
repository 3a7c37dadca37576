"""The loop that all samplers share: what it keeps, whom it stops, and what it refuses."""

import pytest
import torch

from pullback import Manifold
from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.manifolds.reference import HalfPlane, stereographic
from pullback.metrics import Metric, PullbackMetric
from pullback.sampling import BrownianMotion, ChainState, ChainStatus, Sampler, Samples
from pullback.sampling.base import torch_generator


class Count(Sampler):
    """Goes one step to the right, and reports everything that can be reported."""

    def init(self, z, generator):
        return ChainState(z, log_density=z[:, 0], memory=(torch.zeros_like(z[:, 0]),))

    def step(self, state, generator, *, burning_in):
        points = state.points + 1
        n_burnt = state.memory[0] + burning_in
        return ChainState(
            points,
            log_density=points[:, 0],
            acceptance=torch.full_like(n_burnt, 0.5),
            divergent=points[:, 0] > 8,
            memory=(n_burnt,),
        )


class Walk(Count):
    keeps_start = True


class Bounded(Metric):
    """Flat, and defined, singular or NaN beyond a radius of 1."""

    def __init__(self, beyond, defined=True):
        super().__init__(dim=2)
        self.beyond, self.defined = beyond, defined

    def metric_matrix(self, z):
        inside = (z.norm(dim=-1) < 1)[..., None, None]
        eye = torch.eye(2, dtype=z.dtype, device=z.device)
        return torch.where(inside, eye, self.beyond * eye)

    def contains(self, z):
        return (z.norm(dim=-1) < 1) | self.defined


@pytest.fixture
def line():
    return Manifold(PullbackMetric(lambda z: z, dim=1))


@pytest.fixture
def plane():
    return Manifold(PullbackMetric(lambda z: z, dim=2))


def test_draws_after_burn_in_are_kept_every_so_often(line):
    samples = Count(line, n_burn_in=3, thinning=2).sample([[0.0], [10.0]], n_steps=6)
    assert samples.points.squeeze(-1).tolist() == [[5, 7, 9], [15, 17, 19]]
    assert samples.log_density.tolist() == samples.points.squeeze(-1).tolist()
    assert samples.acceptance.tolist() == [0.5, 0.5]
    assert samples.divergences.tolist() == [1, 6]
    assert samples.converged.all()
    assert "steps accepted: 50 to 50 %\ndivergent steps: 7" in str(samples)


def test_a_walk_begins_with_its_start(line):
    samples = Walk(line).sample(torch.zeros(2, 3, 1), n_steps=2)
    assert samples.points.shape == (2, 3, 3, 1)
    assert samples.points[1, 2, :, 0].tolist() == [0, 1, 2]
    assert samples.status.shape == samples.acceptance.shape == samples.divergences.shape == (2, 3)
    assert samples.log_density.shape == (2, 3, 3)
    one = Walk(line).sample([4.0], n_steps=1)
    assert one.points.tolist() == [[4], [5]]
    assert one.converged.item()
    assert one.last.tolist() == [5]


def test_draws_make_a_table(line):
    frame = Walk(line).sample([[0.0], [10.0]], n_steps=1).to_frame()
    assert frame.columns.tolist() == ["chain", "draw", "z0", "log_density"]
    assert frame.to_numpy().tolist() == [[0, 0, 0, 0], [0, 1, 1, 1], [1, 0, 10, 10], [1, 1, 11, 11]]


@pytest.mark.slow
def test_diagnostics_look_at_coordinates_or_at_a_function(plane):
    walk = BrownianMotion(plane).sample(torch.zeros(2, 2, 2), n_steps=50, random_state=0)
    at = walk.diagnostics()
    assert at.r_hat.shape == (2,)
    assert (at.n_chains, at.n_draws) == (4, 51)
    assert not at.mixed
    assert walk.diagnostics(lambda z: z.norm(dim=-1)).r_hat.shape == ()
    with pytest.raises(InvalidDataError, match="n >= 4"):
        BrownianMotion(plane).sample([0.0, 0.0], n_steps=1).diagnostics()


@pytest.mark.parametrize(
    ("metric", "status"),
    [
        (Bounded(1.0, defined=False), ChainStatus.LEFT_DOMAIN),
        (Bounded(0.0), ChainStatus.DEGENERATE),
        (Bounded(torch.nan), ChainStatus.NOT_FINITE),
        (Bounded(torch.inf), ChainStatus.NOT_FINITE),
    ],
)
def test_a_chain_stops_where_it_cannot_go_on(metric, status):
    start = torch.zeros(40, 2)
    walk = BrownianMotion(Manifold(metric), step_size=0.2, method="driftless")
    samples = walk.sample(start, n_steps=10, random_state=0)
    stopped = samples.status == status
    assert 5 < stopped.sum() < 35
    assert samples.converged.equal(~stopped)
    assert (samples.points.norm(dim=-1) < 1).all()  # every point is a good one
    free = BrownianMotion(Manifold(Bounded(1.0)), step_size=0.2, method="driftless").sample(
        start, n_steps=10, random_state=0
    )
    inside = (free.points.norm(dim=-1) < 1).all(-1)
    assert inside.equal(samples.converged)
    assert samples.points[inside].equal(free.points[inside])  # the others did not feel it
    still = samples.points[stopped].diff(dim=1).norm(dim=-1) == 0
    assert still[:, -1].float().mean() > 0.5
    # Once a chain stands still, it does so to its end.
    assert (still[:, 1:] >= still[:, :-1]).all()
    assert f"{int(stopped.sum())}: {status.message}" in str(samples)


def test_chains_that_all_stopped_do_not_go_on(monkeypatch):
    walk = BrownianMotion(Manifold(HalfPlane()), step_size=100.0, thinning=10**6)
    steps, step = [], walk.step
    monkeypatch.setattr(walk, "step", lambda *a, **k: steps.append(1) or step(*a, **k))
    samples = walk.sample(torch.ones(3, 2), n_steps=10**6, random_state=0)
    assert len(steps) < 100
    assert (samples.status == ChainStatus.LEFT_DOMAIN).all()
    assert (samples.points[..., 1] > 0).all()


def test_steps_that_overflow_are_not_kept(plane):
    walk = BrownianMotion(plane, step_size=1e308, method="driftless")
    samples = walk.sample(torch.zeros(20, 2), n_steps=20, random_state=0)
    assert samples.points.isfinite().all()
    assert (samples.status == ChainStatus.NOT_FINITE).any()


@pytest.mark.slow
def test_a_seed_says_it_all(plane):
    walk, start = BrownianMotion(plane), torch.zeros(3, 2)
    first = walk.sample(start, 5, random_state=7).points
    assert walk.sample(start, 5, random_state=7).points.equal(first)
    generator = torch.Generator().manual_seed(7)
    assert walk.sample(start, 5, random_state=generator).points.equal(first)
    assert not walk.sample(start, 5, random_state=generator).points.equal(first)
    assert not walk.sample(start, 5).points.equal(walk.sample(start, 5).points)
    torch.manual_seed(3)
    of_torch = walk.sample(start, 5).points
    torch.manual_seed(3)
    assert walk.sample(start, 5).points.equal(of_torch)
    state = torch.get_rng_state()
    walk.sample(start, 5, random_state=7)
    assert torch.get_rng_state().equal(state)


@pytest.mark.slow
def test_the_dtype_is_the_manifold_s():
    M = Manifold(stereographic, dim=2, dtype=torch.float32)
    assert BrownianMotion(M).sample([[0, 0]], 3).points.dtype == torch.float32


def test_no_chains_are_no_trouble(plane):
    samples = BrownianMotion(plane).sample(torch.zeros(0, 2), n_steps=3)
    assert samples.points.shape == (0, 4, 2)
    assert "0 chains" in str(samples)


def test_a_bar_shows_how_far_it_is(line, capsys, monkeypatch):
    monkeypatch.setattr("pullback.progress._is_watched", lambda: True)  # as on a terminal
    Walk(line).sample([0.0], n_steps=3, progress=True)
    assert "sampling" in capsys.readouterr().err
    Walk(line).sample([0.0], n_steps=3)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([[0.0, torch.nan]], "`start` must be finite"),
        ([[0.0, 1.0, 2.0]], "`start` must have shape"),
        ([[0.0, 1.0], [0.5, -2.0]], r"1 of 2 points do not \(the first is number 1, \[0.5, -2.0\]"),
        (["a", "b"], "must hold real numbers"),
    ],
)
def test_a_start_that_cannot_be_is_refused(start, message):
    with pytest.raises(InvalidDataError, match=message):
        BrownianMotion(Manifold(HalfPlane())).sample(start, n_steps=1)


def test_a_start_where_the_metric_is_singular_is_refused():
    with pytest.raises(InvalidDataError, match="positive definite, but 1 of 1"):
        BrownianMotion(Manifold(Bounded(0.0))).sample([2.0, 0.0], n_steps=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 0}, "`n_steps` must be an integer >= 1"),
        ({"n_steps": True}, "`n_steps` must be an integer"),
        ({"n_steps": 7}, "`n_steps` must be a multiple of `thinning` = 2"),
        ({"n_steps": 2, "random_state": -1}, "`random_state` must be an integer"),
        ({"n_steps": 2, "random_state": True}, "`random_state` must be an integer"),
    ],
)
def test_wrong_numbers_are_refused(line, options, message):
    with pytest.raises(InvalidParameterError, match=message):
        Walk(line, thinning=2).sample([0.0], **options)


def test_wrong_parameters_are_refused(line):
    for options in ({"n_burn_in": -1}, {"thinning": 0}, {"thinning": True}):
        with pytest.raises(InvalidParameterError, match=next(iter(options))):
            Walk(line, **options)


@pytest.mark.gpu
def test_chains_run_on_a_gpu():
    M = Manifold(stereographic, dim=2, device="cuda")
    samples = BrownianMotion(M, step_size=0.3).sample(torch.zeros(2000, 2), 10, random_state=0)
    assert samples.points.device.type == "cuda"
    assert samples.diagnostics().r_hat.isfinite().all()
    with pytest.raises(InvalidParameterError, match="`random_state` must be a generator on cuda"):
        torch_generator(torch.Generator(), torch.device("cuda"))


def test_samples_need_not_come_from_a_chain():
    samples = Samples(torch.zeros(5, 2), status=torch.tensor([0, 0, 1, 0, 3]))
    assert samples.converged.tolist() == [True, True, False, True, False]
    assert str(samples).splitlines()[1:] == [
        "3 of 5 took all their steps",
        f"  1: {ChainStatus.LEFT_DOMAIN.message}",
        f"  1: {ChainStatus.NOT_FINITE.message}",
    ]
