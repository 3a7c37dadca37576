"""Following one geodesic through the files: as few stops as `docs/architecture.md` says, in order.

A stop is a file with the function by which it is entered from another one. A file is left when none
of its functions is being executed any more; to enter it again by another function is a return.
"""

import re
import sys
from functools import cache
from pathlib import Path

import pytest
import torch

import pullback
from pullback.geodesics import LatentGraph, connect
from pullback.metrics import Metric, PullbackMetric

HOME = Path(pullback.__file__).parent / "geodesics"
PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
# Values and formulas, which are known by their docstrings, and a count of what was asked.
WORDS = {
    "batch.py",
    "result.py",
    "search/candidates.py",
    "search/measure.py",
    "search/search.py",
    "search/thresholds.py",
    "solvers/line_search.py",
    "tally.py",
}
MOST = 12


def documented() -> list[tuple[str, str]]:
    (section,) = re.findall(r"### Twelve stops\n(.*?)\n### ", PAGE.read_text("utf-8"), re.DOTALL)
    return re.findall(r"^\d+\. `([\w/]+\.py)`: `(\w+)`", section, re.MULTILINE)


@cache
def file_of(code) -> str | None:
    """The file of `geodesics/` that holds some code, if it is no word."""
    path = Path(code.co_filename)
    if not path.is_relative_to(HOME) or code.co_name.startswith(("<", "__")):
        return None
    file = path.relative_to(HOME).as_posix()
    return None if file in WORDS else file


def stops_of(run) -> list[tuple[str, str]]:
    """Return the file and function of each entry into another file, the first time it is taken."""
    entries: list[tuple[str, str]] = []

    def watch(frame, event, _):
        if event != "call" or (file := file_of(frame.f_code)) is None:
            return
        entry, back = (file, frame.f_code.co_name), frame.f_back
        while back is not None and file_of(back.f_code) != file:
            back = back.f_back
        if back is None and entry not in entries:
            entries.append(entry)

    sys.setprofile(watch)
    try:
        run()
    finally:
        sys.setprofile(None)
    # Functions of one file that are entered one after the other are one stop.
    return [e for k, e in enumerate(entries) if k == 0 or entries[k - 1][0] != e[0]]


def returns(stops: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [stop for k, stop in enumerate(stops) if stop[0] in {file for file, _ in stops[:k]}]


def hill(z):
    return torch.cat([z, (-(z - 0.1).square().sum(-1, keepdim=True)).exp()], -1)


def follow(metric: Metric, d: int) -> list[tuple[str, str]]:
    a, b = -torch.ones(1, d).double(), torch.ones(1, d).double()
    graph = LatentGraph.build(metric, torch.cat([a, b]), resolution=5)
    return stops_of(lambda: connect(metric, a, b, graph=graph, levels=(16, 32)))


@pytest.mark.slow
def test_a_geodesic_is_followed_by_the_stops_that_the_page_names():
    stops = follow(PullbackMetric(hill, dim=3), 3)
    assert stops == documented()
    assert len(stops) <= MOST
    assert not returns(stops)


@pytest.mark.slow
def test_in_the_plane_there_are_fewer_and_no_returns_either():
    stops = follow(PullbackMetric(hill, dim=2), 2)
    assert set(stops) < set(documented())
    assert not returns(stops)


class Nearly(PullbackMetric):
    """Stands in for an exact metric, as a table does."""

    exact = PullbackMetric(hill, dim=2)


@pytest.mark.slow
def test_on_a_metric_that_stands_in_for_another_one_returns_to_the_certificate():
    stops = follow(Nearly(hill, dim=2), 2)
    assert returns(stops) == [("search/certificate.py", "excess_on")]


def test_a_return_is_found():
    a_stop = ("solve.py", "connect")
    assert returns([a_stop, ("base.py", "relax"), ("solve.py", "again")]) == [("solve.py", "again")]
    assert stops_of(lambda: None) == []
