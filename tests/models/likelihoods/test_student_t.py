import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.distributions import Independent, StudentT

from pullback import Decoder, Manifold
from pullback.errors import InvalidParameterError
from pullback.metrics import PullbackMetric, fisher_information
from pullback.models import VAE
from pullback.models.likelihoods import StudentTLikelihood
from pullback.models.likelihoods.readings import read
from pullback.testing import check_likelihood


def t(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


@settings(max_examples=30)
@given(st.floats(0.1, 100), st.floats(-1000, 1000), st.floats(-4, 4))
def test_it_is_scipys(df, mean, log_scale):
    likelihood = StudentTLikelihood(3, df=df).double()
    likelihood.set_unit(torch.zeros(3).double(), t(np.exp(log_scale))[0])
    x = mean + np.exp(log_scale) * np.array([-30.0, 0.2, 4.0])
    p = likelihood(t(mean, mean, mean), torch.zeros(2))
    truth = stats.t(df, mean, np.exp(log_scale))
    log_prob = float(p.log_prob(torch.tensor(x)).detach())
    assert np.isclose(log_prob, truth.logpdf(x).sum(), rtol=1e-9)


@pytest.mark.parametrize(("df", "wanted"), [(4, 8.0), (2, np.inf), (1.5, np.inf), (1, np.nan)])
def test_a_variance_that_does_not_exist_is_not_a_number(df, wanted):
    likelihood = StudentTLikelihood(2, df=df)
    likelihood.set_unit(torch.zeros(2), torch.tensor(2.0))
    p = likelihood(torch.full((5, 2), 1000.0), torch.zeros(5, 2))
    assert np.allclose(p.variance.detach(), wanted, equal_nan=True)
    assert np.allclose(p.mean, np.nan if df == 1 else 1000.0, equal_nan=True)


@pytest.mark.slow
@pytest.mark.parametrize("df", [0.5, 4.0, 30.0])
def test_its_image_obeys_the_laws(df):
    def make(x):
        return StudentT(torch.full_like(x, df), x, torch.full_like(x, 0.3), validate_args=False)

    check_likelihood(make, t(-2.0, 0.0, 1000.0)[:, None])


@pytest.mark.slow
def test_its_information_obeys_the_laws_where_all_vary():
    def make(x):
        return StudentT(x[:, 2:].exp(), x[:, :1], x[:, 1:2].exp(), validate_args=False)

    inner = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    edges = t(*[[0, 0, 12], [0, 0, -8], [1000, 5, 3], [0, -12, 0]])
    check_likelihood(make, inner, edges=edges, isometric=False)


@pytest.mark.parametrize("df", [0.7, 4.0, 25.0])
def test_the_information_is_the_mean_product_of_scores(df):
    # By the trapezoidal rule in u, x = s sinh u, of central differences of SciPy's log-density.
    scale, h = 1.7, 1e-5
    u = np.linspace(-60, 60, 12_001)
    x = scale * np.sinh(u)
    weight = stats.t.pdf(x, df, 0, scale) * scale * np.cosh(u) * (u[1] - u[0])

    def logpdf(mean, log_scale, freedom):
        return stats.t.logpdf(x, 1 / np.expm1(freedom), mean, np.exp(log_scale))

    place = np.array([0.0, np.log(scale), np.log1p(1 / df)])
    scores = [(logpdf(*(place + e)) - logpdf(*(place - e))) / (2 * h) for e in h * np.eye(3)]
    truth = np.einsum("n,in,jn->ij", weight, scores, scores)
    assert np.allclose(fisher_information(StudentT(*t([df], [0.0], [scale]))), truth, atol=1e-6)


def of_freedom(df):
    # It cancels: at nu = 100, seven of its digits do.
    trigammas = torch.special.polygamma(1, df / 2) - torch.special.polygamma(1, (df + 1) / 2)
    return trigammas / 4 - (df + 5) / (2 * df * (df + 1) * (df + 3))


@pytest.mark.parametrize("df", [1e-3, 0.3, 1.0, 4.0, 20.0, 100.0])
def test_the_information_of_the_freedom_is_that_of_trigammas(df):
    information = fisher_information(StudentT(*t([df], [0.0], [1.0])))
    truth = of_freedom(t(df)) * (df * (df + 1)) ** 2
    assert torch.isclose(information[2, 2], truth, rtol=1e-8)


@pytest.mark.slow
def test_where_the_degrees_of_freedom_vary_they_are_measured():
    def decode(z):
        p = StudentT(z[..., 1:].exp(), z[..., :1], torch.ones_like(z[..., :1]), validate_args=False)
        return Independent(p, 1, validate_args=False)

    z = t([0, 0], [1, 0.5], [-1, 2])
    df = z[:, 1].exp()
    truth = torch.diag_embed(torch.stack([(df + 1) / (df + 3), df**2 * of_freedom(df)], -1))
    assert torch.allclose(Manifold(Decoder(decode, latent_dim=2)).metric_matrix(z), truth)


def test_for_many_degrees_of_freedom_it_is_the_normals():
    p = StudentT(*t([1e30], [0.0], [0.5]))
    assert torch.allclose(fisher_information(p), t([4, 0, 0], [0, 2, 2], [0, 2, 3.5]))


@pytest.mark.slow
def test_where_the_scale_varies_lengths_are_those_of_the_half_plane():
    df = 4.0

    def decode(z):
        p = StudentT(df, z[..., :1], z[..., 1:].exp(), validate_args=False)
        return Independent(p, 1, validate_args=False)

    start, end = t([0, 0], [1, 0.5], [-1, -1]), t([2, 0.3], [1, -0.5], [1, 1])
    result = Manifold(Decoder(decode, latent_dim=2)).geodesic(start, end)
    # a dm^2 / s^2 + b ds^2 / s^2 is b times the hyperbolic plane of (sqrt(a / b) m, s).
    a, b = (df + 1) / (df + 3), 2 * df / (df + 3)
    scales, ends = start[:, 1].exp(), end[:, 1].exp()
    apart = a / b * (start[:, 0] - end[:, 0]).square() + (scales - ends).square()
    truth = np.sqrt(b) * torch.arccosh(1 + apart / (2 * scales * ends))
    assert bool(result.converged.all())
    assert torch.allclose(result.length, truth, rtol=1e-5)


@pytest.fixture(scope="module")
def trained():
    g = torch.Generator().manual_seed(0)
    plane = torch.randn(500, 2, generator=g).double()
    curved = torch.cat([plane, plane.square(), plane[:, :1] * plane[:, 1:], plane.sin()], -1)
    X = 1000 + curved + 0.05 * torch.randn(curved.shape, generator=g).double()
    torch.manual_seed(0)
    vae = VAE(X.shape[1], 2, likelihood="student_t").double()
    return vae.fit(X, epochs=80, learning_rate=1e-2, progress=False), X


@pytest.mark.slow
def test_it_reconstructs_data_around_a_thousand(trained):
    vae, X = trained
    spread = (X - X.mean(0)).abs().mean()
    assert float((vae.reconstruct(X) - X).abs().mean()) < 0.25 * float(spread)


@pytest.mark.slow
def test_a_trained_decoder_is_measured_by_its_scaled_means(trained):
    vae, X = trained
    Z = vae.encode(X)

    @torch.no_grad()
    def image(z):
        p = vae.decoder(z).base_dist
        return np.sqrt(5 / 7) * p.loc / p.scale

    h = 1e-5
    columns = [(image(Z + h * e) - image(Z - h * e)) / (2 * h) for e in torch.eye(2).double()]
    J = torch.stack(columns, -1)
    M = Manifold(vae, data=Z)
    assert isinstance(M.metric, PullbackMetric)
    assert torch.allclose(M.metric_matrix(Z), J.mT @ J, rtol=1e-5, atol=1e-5)

    result = M.geodesic(Z[:4], Z[4:8])
    assert bool(result.converged.all())
    fine = torch.linspace(0, 1, 2001).double()
    chords = image(result.curve.at(fine)).diff(dim=-2).norm(dim=-1).sum(-1)
    assert torch.allclose(result.length, chords, rtol=1e-4)


def test_outliers_leave_the_scale_where_it_was():
    # The most likely scale of fixed means: an outlier of 1000 counts like one of 100.
    def fitted(outlier):
        likelihood = StudentTLikelihood(1, df=4).double()
        x = torch.cat([torch.linspace(-1, 1, 19).double(), t(outlier)])[:, None]
        optimizer = torch.optim.LBFGS(likelihood.parameters(), max_iter=50)

        def loss():
            optimizer.zero_grad()
            value = -likelihood(torch.zeros_like(x), torch.zeros(20, 2)).log_prob(x).mean()
            value.backward()
            return value

        optimizer.step(loss)
        return float(likelihood.log_scale.detach().exp())

    assert fitted(1000.0) == pytest.approx(fitted(100.0), rel=1e-3)


def test_training_begins_at_the_spread_of_the_data():
    likelihood = StudentTLikelihood(3)
    likelihood.set_unit(torch.zeros(3), torch.tensor(20.0))
    p = likelihood(torch.zeros(1, 3), torch.zeros(1, 2))
    assert torch.allclose(p.base_dist.scale, torch.tensor(20.0))


@pytest.mark.parametrize("df", [0, -1.0, float("inf"), float("nan")])
def test_degrees_of_freedom_that_are_none_are_refused(df):
    with pytest.raises(InvalidParameterError, match="df"):
        VAE(4, likelihood="student_t", likelihood_options={"df": df})


def test_unknown_options_are_refused():
    with pytest.raises(InvalidParameterError, match="nu"):
        VAE(4, likelihood="student_t", likelihood_options={"nu": 4})


def test_a_decoder_that_returns_its_parameters_is_read():
    df, loc, scale = torch.rand(3, 5, 4, dtype=torch.float64) + 2
    p = read((df, loc, scale), "student_t")
    x = torch.randn(5, 4, dtype=torch.float64)
    expected = stats.t.logpdf(x.numpy(), df.numpy(), loc.numpy(), scale.numpy()).sum(-1)
    torch.testing.assert_close(p.log_prob(x), torch.as_tensor(expected))
