"""`pullback reproduce`: what it refuses, what it writes, and that a kill loses nothing."""

import json
import signal

import pytest


def test_the_claims_are_listed(pullback):
    code, out, _ = pullback("reproduce", "--list")
    assert code == 0
    assert "clustering-012" in out
    assert "finsler-gap" in out


def test_an_unknown_claim_is_refused_with_those_that_there_are(pullback, tmp_path):
    code, _, err = pullback("reproduce", "flat-earth", "--out", tmp_path / "x")
    assert code == 2
    assert "finsler-gap" in err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("words", [("--seeds", "0"), ("--jobs", "0")])
def test_numbers_below_one_are_refused(pullback, words):
    assert pullback("reproduce", *words)[0] == 2


def test_a_smoke_run_writes_the_ledger(pullback, tmp_path):
    code, out, err = pullback(
        "reproduce", "finsler-gap", "--quick", "--seeds", 2, "--out", tmp_path
    )
    assert code == 0
    assert "finsler-gap" in out
    assert "2 of 2" in err
    page = (tmp_path / "ledger.html").read_text()
    assert "A smoke run" in page
    assert "--quick" in page  # the command that makes it again


def test_a_file_of_digits_that_is_not_there_is_refused_before_any_work(pullback, tmp_path):
    words = ("metric-variance", "--quick", "--mnist", tmp_path / "no.npz", "--out", tmp_path / "x")
    code, _, err = pullback("reproduce", *words)
    assert code == 1
    assert "no.npz" in err
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_says_the_same(start, pullback, tmp_path):
    def words(name):
        return ("reproduce", "metric-variance", "--quick", "--seeds", 2, "--out", tmp_path / name)

    process = start(*words("killed"))
    assert "1 of 2" in process.stderr.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    (kept,) = (tmp_path / "killed" / "runs" / "metric-variance").glob("0-*.json")
    before = kept.stat().st_mtime_ns
    for name in ("killed", "whole"):
        code, _, err = pullback(*words(name))
        assert code == 0, err
    assert kept.stat().st_mtime_ns == before
    files = [tmp_path / name / "results.json" for name in ("killed", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert len(json.loads(files[0].read_text())["claims"][0]["runs"]) == 2
