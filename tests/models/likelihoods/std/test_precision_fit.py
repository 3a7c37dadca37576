import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from pullback.errors import InvalidDataError, InvalidParameterError
from pullback.models import RBFPrecision, fit_centers, fit_weights, regress_weights


@pytest.fixture
def problem():
    """Residuals whose variance changes along the latent line, and centres for them."""
    rng = np.random.default_rng(0)
    z = torch.tensor(rng.uniform(-2, 2, size=(300, 1)))
    squared = torch.tensor(rng.normal(size=(300, 2)) ** 2) * (0.1 + z**2)
    centers, bandwidths = fit_centers(z, 4)
    start = RBFPrecision(centers, bandwidths, torch.ones(2, 4, dtype=torch.float64), 0.05)
    return start, z, squared


def objective(weights, precision, z, squared):
    v = precision.kernels(z).numpy()
    beta = v @ weights.reshape(2, 4).T + float(precision.zeta)
    return float((beta * squared.numpy() - np.log(beta)).mean())


def test_bandwidths_agree_with_a_loop():
    codes = torch.randn(200, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    centers, bandwidths = fit_centers(codes, 7, bandwidth_factor=1.25)
    nearest = [int(((c := code - centers) * c).sum(-1).argmin()) for code in codes]
    for k in range(7):
        members = [codes[i] for i in range(200) if nearest[i] == k]
        assert torch.allclose(torch.stack(members).mean(0), centers[k], atol=1e-3)
        mean_distance = sum(float((z - centers[k]).norm()) for z in members) / len(members)
        assert float(bandwidths[k]) == pytest.approx(0.5 * (1.25 * mean_distance) ** -2, rel=1e-9)


def test_centres_depend_on_the_seed_alone():
    codes = torch.randn(200, 2)
    first, again = (fit_centers(codes, 20, random_state=3) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_single_points_get_the_median_spread():
    blob = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    codes = torch.cat([blob, blob + 30, torch.tensor([[200.0, 0.0]])])
    centers, bandwidths = fit_centers(codes, 3)
    lonely = int(centers[:, 0].argmax())
    others = [k for k in range(3) if k != lonely]
    assert float(bandwidths[lonely]) in [float(bandwidths[k]) for k in others]


def test_as_many_centres_as_points_take_the_distance_between_centres():
    codes = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    centers, bandwidths = fit_centers(codes, 4, bandwidth_factor=1.0)
    assert sorted(centers.flatten().tolist()) == [0, 1, 2, 3]
    assert torch.allclose(bandwidths, torch.tensor(0.5))


def test_duplicated_points_leave_no_infinite_bandwidth():
    codes = torch.tensor([[0.0], [1.0]]).repeat(20, 1) + 1e-3 * torch.arange(40)[:, None] // 20
    centers, bandwidths = fit_centers(codes, 3)
    assert torch.isfinite(centers).all()
    assert torch.isfinite(bandwidths).all()


def test_codes_that_coincide_are_refused():
    with pytest.raises(InvalidDataError, match="the encoder ignores the data"):
        fit_centers(torch.ones(10, 2), 2)


@pytest.mark.parametrize("n_centers", [0, 11])
def test_bad_numbers_of_centres_are_refused(n_centers):
    with pytest.raises(InvalidParameterError, match=r"`n_centers` must be an integer in \[1, 10\]"):
        fit_centers(torch.randn(10, 2), n_centers)


def test_likelihood_fit_never_gets_worse_and_stays_positive(problem):
    start, z, squared = problem
    fit = fit_weights(start, [(z, squared)], max_steps=200, tol=0.0)
    assert (np.diff(fit.objective) <= 1e-14).all()
    assert (fit.weights > 0).all()
    assert fit.objective[-1] == pytest.approx(
        objective(fit.weights.numpy(), start, z, squared), rel=1e-12
    )


def test_likelihood_fit_reaches_the_optimum_that_scipy_finds(problem):
    start, z, squared = problem
    fit = fit_weights(start, [(z, squared)], max_steps=20_000, tol=1e-12)
    best = min(
        (
            minimize(objective, guess, (start, z, squared), bounds=[(1e-9, None)] * 8, tol=1e-12)
            for guess in (np.ones(8), fit.weights.numpy().ravel())
        ),
        key=lambda result: result.fun,
    )
    assert fit.converged
    assert fit.objective[-1] == pytest.approx(best.fun, abs=1e-6)


@pytest.mark.parametrize("shrinkage", [0.5, 5.0, 500.0])
def test_shrunken_fit_reaches_the_optimum_that_scipy_finds(problem, shrinkage):
    start, z, squared = problem
    v, e = start.kernels(z).numpy(), squared.numpy()
    shared = len(v) / (e.T @ v).sum(1, keepdims=True)

    def shrunken(flat):
        share = flat.reshape(2, 4) / shared
        prior = shrinkage * (share - np.log(share)).sum() / e.size
        return objective(flat, start, z, squared) + prior

    fit = fit_weights(start, [(z, squared)], shrinkage=shrinkage, max_steps=20_000, tol=1e-12)
    best = minimize(shrunken, np.ones(8), bounds=[(1e-9, None)] * 8, tol=1e-12)
    assert (np.diff(fit.objective) <= 1e-14).all()
    assert shrunken(fit.weights.numpy().ravel()) == pytest.approx(best.fun, abs=1e-6)


def test_strong_shrinkage_gives_all_centres_one_weight(problem):
    start, z, squared = problem
    weights = fit_weights(start, [(z, squared)], shrinkage=1e9).weights
    assert torch.allclose(weights, weights[:, :1].expand_as(weights), rtol=1e-3)


def test_negative_shrinkage_is_refused(problem):
    start, z, squared = problem
    with pytest.raises(InvalidParameterError, match="`shrinkage` must be a finite number in"):
        fit_weights(start, [(z, squared)], shrinkage=-1.0)


def test_likelihood_fit_does_not_depend_on_the_chunks(problem):
    start, z, squared = problem
    whole = fit_weights(start, [(z, squared)], max_steps=50, tol=0.0)
    chunks = ((z[i : i + 7], squared[i : i + 7]) for i in range(0, 300, 7))
    streamed = fit_weights(start, chunks, max_steps=50, tol=0.0)
    assert torch.allclose(whole.weights, streamed.weights, rtol=1e-9)


def test_likelihood_fit_finds_the_variance_that_the_data_have():
    """One kernel that is 1 at every point: the optimum is beta = 1 / mean e."""
    start = RBFPrecision.flat(1, 1, 2, std=1e4)
    squared = torch.rand(1000, 2) + 0.1
    fit = fit_weights(start, [(torch.zeros(1000, 1), squared)])
    assert torch.allclose(fit.weights[:, 0], 1 / squared.mean(0), rtol=1e-3)


def test_unfinished_fit_says_so(problem):
    start, z, squared = problem
    fit = fit_weights(start, [(z, squared)], max_steps=2, tol=1e-12)
    assert not fit.converged
    assert len(fit.objective) == 3


@pytest.mark.slow
def test_regression_recovers_a_precision_of_its_own_kind(problem):
    start, z, _ = problem
    weights = torch.tensor([[1.0, 5.0, 2.0, 8.0], [300.0, 20.0, 100.0, 50.0]], dtype=torch.float64)
    target = RBFPrecision(start.centers, start.bandwidths, weights, 0.05)
    fit = regress_weights(start, z, target(z), n_steps=1000)
    fitted = RBFPrecision(start.centers, start.bandwidths, fit.weights, 0.05)
    assert (fit.weights > 0).all()
    assert float((fitted(z).log() - target(z).log()).abs().max()) < 0.05


def test_regression_is_the_same_for_the_same_seed(problem):
    start, z, squared = problem
    before = torch.get_rng_state()
    first, again = (regress_weights(start, z, squared + 0.1, n_steps=20) for _ in range(2))
    assert torch.equal(first.weights, again.weights)
    assert torch.equal(torch.get_rng_state(), before)
