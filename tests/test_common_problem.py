"""The common problem: the bounds that the geodesic solver must hold on a decoder of real digits."""

import importlib.util
from pathlib import Path

import pytest
import torch

from pullback import Manifold

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "common_problem.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("common_problem", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def solve(problem):
    M = Manifold(problem.decoder(), data=problem.codes)
    result = M.geodesic(problem.point_a, problem.point_b)
    return result, problem.ratios(result.points(1001))


@pytest.mark.thorough
def test_twelve_pairs_are_solved(benchmark):
    result, ratio = solve(benchmark.CommonProblem(12))
    assert ratio.median() <= 1.0001
    assert ratio.max() <= 1.01
    assert bool((result.converged | (ratio > 1.0001)).all())


@pytest.mark.slow
def test_the_evaluator_is_the_packages_own_decoder(benchmark):
    problem = benchmark.CommonProblem(3)
    z = torch.randn(5, 2, dtype=torch.float64)
    p = problem.decoder()(z)
    torch.testing.assert_close(problem.image(z), torch.cat([p.mean, p.stddev], -1))
    straight = problem.straight_lines()
    assert bool((problem.ratios(straight) >= 1 - 1e-6).all())
    with pytest.raises(ValueError, match="at least 1000 points"):
        problem.ratios(straight[:, ::2])


@pytest.mark.exhaustive
def test_all_pairs_are_solved(benchmark):
    result, ratio = solve(benchmark.CommonProblem())
    assert ratio.median() <= 1.0001
    assert ratio.quantile(0.95) <= 1.002
    assert ratio.max() <= 1.01
    # What the result says of itself is true: lengths and failures.
    evaluated = ratio * benchmark.CommonProblem().reference_length
    torch.testing.assert_close(result.length, evaluated, rtol=1e-3, atol=0)
    assert bool((result.converged | (ratio > 1) | (result.refinement > 1e-4)).all())
    assert bool((result.residual[result.converged] < 0.1).all())
