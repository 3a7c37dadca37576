"""The benchmark scripts run to their end, and what they count and fit is right."""

import importlib.util
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
TORCH_S_OWN = "ignore:`torch.jit.script` is deprecated:DeprecationWarning"


def run(script, *arguments):
    """Run a script as a user would, and return what it prints."""
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-W", TORCH_S_OWN, BENCHMARKS / script, *arguments],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def rows_of(output):
    """The tables' rows by their first cell: the cells that follow."""
    lines = [line.strip("| ").split(" | ") for line in output.splitlines() if line.startswith("| ")]
    return {first: cells for first, *cells in lines}


@pytest.fixture
def scripts(monkeypatch):
    """Let the benchmark modules be imported."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.exhaustive
def test_geodesics_are_compared():
    tiny = "--pairs 2 --scipy-pairs 1 --points 8 --dims 2 --dims-pairs 2 --adam-steps 300"
    output = run("geodesics.py", *tiny.split())
    rows = rows_of(output)
    assert ("stochman 0.3.0" in rows) == (importlib.util.find_spec("stochman") is not None)
    assert rows["SciPy solve_bvp"][0] == "1 of 1"
    solved, median, *_ = rows["the same, table and graph included"]
    assert solved == "2 of 2"
    assert float(median) == pytest.approx(1, abs=1e-3)
    assert float(rows["CPU"][0]) > 0
    assert "8 x 8 distances" in output
    assert float(rows["2"][4]) == pytest.approx(1, abs=1e-3)  # ours / Adam


def test_points_through_a_decoder_are_counted(scripts):
    from evaluations import counted

    from pullback.manifolds.reference import paraboloid
    from pullback.metrics import PullbackMetric

    metric = PullbackMetric(paraboloid)
    nodes = torch.rand(3, 9, 2, dtype=torch.float64)
    metric.chords(nodes)  # the first call also looks at one image
    with counted(metric) as rows:
        metric.chords(nodes)
        metric.chord_gradient(nodes)
        metric.metric_matrix(nodes)
    assert rows == {"forward": 27, "gradient": 27, "tangents": 27}
    with counted(metric) as rows:
        metric.expand_chords(nodes)
    assert rows["second order"] >= 21
    assert metric.immersion is paraboloid


def test_adam_lowers_the_energy_of_a_chain(scripts):
    from many_dimensions import adam, chain_energy, end_points, smooth_decoder

    from pullback.curves import straight_line

    decoder, (a, b) = smooth_decoder(16), end_points(2, 16)
    line = straight_line(a, b, 8)
    nodes, seconds = adam(decoder, line, learning_rate=1e-2, n_steps=30)
    assert bool((chain_energy(decoder, nodes) < chain_energy(decoder, line)).all())
    assert torch.equal(nodes[:, [0, -1]], line[:, [0, -1]])
    assert seconds > 0


@pytest.mark.thorough
def test_scaling_fits_exponents_and_draws_them(scripts):
    import scaling

    values = (1, 2, 4, 8, 16)
    assert scaling.exponent(values, [9, 9, *(3 * v**1.5 for v in values[2:])]) == pytest.approx(1.5)
    assert math.isnan(scaling.exponent((1,), [1.0]))
    cost = scaling.measure(scaling.Setting(n_outputs=10, n_pairs=2))
    assert cost.seconds > 0
    axes = [axis._replace(values=axis.values[:2]) for axis in scaling.AXES]
    costs = {setting: cost for axis in axes for setting in axis.settings()}
    assert scaling.draw(axes, costs).startswith(b"\x89PNG")


@pytest.mark.exhaustive
def test_scaling_measures_many_distances():
    pytest.importorskip("numba")
    rows = rows_of(run("scaling.py", "--only-many", "--codes", "150", "--pairs", "1000"))
    assert rows["all of 150 codes"][0] == "11175"
    assert rows["1000 pairs of codes"][-1] == "0"
    assert float(rows["careful ones on the table"][1].removesuffix(" %")) >= 95


@pytest.mark.exhaustive
def test_scaling_runs(tmp_path):
    rows = rows_of(run("scaling.py", "--values", "2", "--pairs", "0", "--out", str(tmp_path)))
    assert len(rows) == 5
    assert (tmp_path / "scaling.png").stat().st_size > 0


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("geomstats") is None, reason="geomstats has an environment of its own"
)
def test_geomstats_runs():
    rows = rows_of(run("peers/geomstats_geodesics.py", "--pairs", "1"))
    assert rows["geomstats 2.8, path straightening"][0] == "1 of 1"


@pytest.mark.thorough
def test_a_threshold_is_moved_and_put_back(scripts):
    import thresholds

    from pullback.geodesics import solve

    before = solve.THRESHOLDS
    with thresholds.moved("bent", 7.0):
        assert solve.THRESHOLDS.bent == 7.0
    assert solve.THRESHOLDS is before
    moved = [thresholds.times(value, 0.5) for value in (1.3, 0.02, 64, 1)]
    assert moved == pytest.approx([1.15, 0.01, 32, 1])
    cells = rows_of(run("thresholds.py", "--only", "looks"))["looks"]
    assert cells[0] == "16"
    assert len(cells) == 11


def test_georce_as_published_finds_great_circles(scripts):
    from georce import georce

    from pullback.manifolds.reference import great_circle_dist, stereographic
    from pullback.metrics import PullbackMetric

    sphere = PullbackMetric(stereographic, dim=3)
    a, b = torch.tensor([[-0.5, 0.2, 0.0], [0.6, 0.3, 0.1]], dtype=torch.float64)

    def energy(x, u):
        return torch.func.jvp(stereographic, (x,), (u,))[1].square().sum(-1)

    nodes, met = georce(sphere.metric_matrix, energy, a, b, n_segments=50)
    assert met
    assert float(sphere.chords(nodes).sum()) == pytest.approx(
        float(great_circle_dist(a, b)), rel=1e-3
    )


def test_the_flow_keeps_volumes_so_it_can_be_inverted(scripts):
    from many_dimensions import Flow, length_of

    flow, z = Flow(5), torch.randn(3, 5, dtype=torch.float64)
    determinants = torch.func.vmap(torch.func.jacrev(flow))(z).det()
    torch.testing.assert_close(determinants, torch.ones(3, dtype=torch.float64))
    line = torch.tensor([[[0.0, 0.0], [3.0, 4.0]]], dtype=torch.float64)
    assert length_of(lambda x: 2 * x, line).item() == 10.0
