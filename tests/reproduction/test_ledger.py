"""The ledger: the same numbers again, kept at once, and made anew when anything changes."""

import json

import numpy as np
import pytest

from pullback.errors import InvalidParameterError, StorageError
from pullback.pages import Verdict
from pullback.reproduction import CLAIMS
from pullback.reproduction.ledger import measure_all, select
from pullback.reproduction.reproduce import reproduce

from .conftest import claim, fail, look, travel


def write_digits(path):
    X, y = np.zeros((10, 28, 28), np.uint8), np.arange(10)
    np.savez(path, x_train=X, y_train=y, x_test=X[:1], y_test=y[:1])
    return path


def numbers(entries):
    return [(entry.claim.key, entry.runs) for entry in entries]


def test_the_same_seeds_give_the_same_numbers_however_many_processes(tmp_path):
    claims = [CLAIMS["finsler-gap"]]
    serial = measure_all(claims, tmp_path / "a", n_seeds=3, quick=True)
    parallel = measure_all(claims, tmp_path / "b", n_seeds=3, quick=True, n_jobs=2)
    assert numbers(serial) == numbers(parallel)
    assert sorted(serial[0].runs) == [0, 1, 2]


def test_what_was_measured_is_read_and_not_measured_again(tmp_path, calls):
    first = measure_all([claim()], tmp_path, n_seeds=2)
    more = measure_all([claim()], tmp_path, n_seeds=3)
    assert calls == [0, 1, 2]
    assert repr(first[0].runs[1]) == repr(more[0].runs[1])


@pytest.mark.parametrize("change", [{"shift": 1.0}, {"quick": True}, {"source": "digits.npz"}])
def test_anything_else_is_measured_anew(tmp_path, calls, change):
    measure_all([claim()], tmp_path, n_seeds=1)
    if "source" in change:
        change = {"source": str(write_digits(tmp_path / change["source"]))}
    settings = {key: value for key, value in change.items() if key == "shift"}
    options = {key: value for key, value in change.items() if key != "shift"}
    measure_all([claim(**settings)], tmp_path, n_seeds=1, **options)
    assert calls == [0, 0]


@pytest.mark.parametrize("damage", ["", "{", '{"numbers": {}}', "altered"])
def test_a_damaged_file_is_measured_anew(tmp_path, calls, damage):
    (entry,) = measure_all([claim()], tmp_path, n_seeds=1)
    (file,) = (tmp_path / "runs" / "mean").iterdir()
    kept = file.read_text()
    file.write_text(kept.replace('"mean": ', '"mean": 1') if damage == "altered" else damage)
    (again,) = measure_all([claim()], tmp_path, n_seeds=1)
    assert calls == [0, 0]
    assert repr(entry.runs) == repr(again.runs)


def test_a_failure_is_told_and_stops_no_other(tmp_path):
    claims = {"bad": claim("bad", fail, []), "mean": claim()}
    entries = reproduce(out=tmp_path, n_seeds=3, claims=claims)
    assert sorted(entries[0].runs) == [0, 2]
    assert entries[0].failures == {1: "InvalidDataError: It broke."}
    assert entries[0].verdict is Verdict.OPEN
    assert len(entries[1].runs) == 3
    assert "It broke." in (tmp_path / "ledger.html").read_text()


def test_the_ledger_is_the_same_byte_by_byte(tmp_path):
    for folder, n_jobs in (("a", 1), ("b", 2)):
        reproduce(["finsler-gap"], out=tmp_path / folder, n_seeds=2, n_jobs=n_jobs, quick=True)
    for name in ("results.json", "results.csv"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_files_say_the_same(tmp_path):
    (entry,) = reproduce(out=tmp_path, n_seeds=4, claims={"mean": claim(shift=2.0)})
    (document,) = json.loads((tmp_path / "results.json").read_text())["claims"]
    assert document["verdict"] == "reproduced"
    assert document["criteria"][0]["mean"] == entry.findings[0].mean
    assert document["runs"]["0"]["draws"] == {
        "mean": entry.runs[0]["draws"]["mean"],
        "undefined": None,
    }
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert f"mean,3,draws,mean,{entry.runs[3]['draws']['mean']!r}" in lines
    page = (tmp_path / "ledger.html").read_text()
    assert "It is &lt;positive&gt;." in page
    assert "<script" not in page
    assert "**Reproduced.**" in (tmp_path / "ledger.md").read_text()


def test_the_cost_is_told_in_geodesics_wherever_seconds_are(tmp_path):
    """Two seeds find 1 and 2 geodesics, in the mean 1.5: rounded up."""
    claims = {
        "far": claim("far", travel, []),
        "near": claim("near", look, []),
        "mean": claim(),
    }
    entries = reproduce(out=tmp_path, n_seeds=2, claims=claims)
    assert [cost.n_geodesics for cost in entries[0].costs.values()] == [1, 2]
    again = reproduce(out=tmp_path, n_seeds=2, claims=claims)  # from what is kept
    assert [entry.costs for entry in again] == [entry.costs for entry in entries]
    text = (tmp_path / "ledger.md").read_text()
    for key, cost in (("far", "2"), ("near", "graph"), ("mean", "–")):
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{key}`")]
        assert line.endswith(f"| {cost} |")
    for words in (
        "searched 2 geodesics and searched a graph from 2 points;",
        "searched a graph from 2 points, which gave all distances: no geodesic was searched;",
        "searched no geodesic;",
    ):
        assert words in text
        assert words in (tmp_path / "ledger.html").read_text()
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert "far,1,cost,n_geodesics,2" in lines
    documents = json.loads((tmp_path / "results.json").read_text())["claims"]
    assert documents[1]["cost"]["0"] == {"n_geodesics": 0, "n_shot": 0, "n_graph": 2}


def test_claims_are_chosen_in_the_order_of_the_ledger():
    claims = {key: claim(key) for key in ("a", "b", "c")}
    assert [one.key for one in select(claims, ["c", "a"])] == ["a", "c"]
    assert len(select(claims, [])) == 3
    with pytest.raises(InvalidParameterError, match="a, b, c"):
        select(claims, ["d"])


def test_a_folder_that_cannot_be_written_is_refused_before_any_work(tmp_path, calls):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        measure_all([claim()], tmp_path / "file", n_seeds=1)
    assert calls == []
