"""What the package says of the ledger is what the published page says, and nothing else."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import pytest

from pullback.pages.chapter import Verdict
from pullback.pages.verdicts import LedgerVerdict, ledger_verdicts, told_beside

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("make_verdicts", DOCS / "make_verdicts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def said(key, verdict, protocol="Digits."):
    return LedgerVerdict(key, "It is so.", verdict, "1 of 2 criteria met.", protocol, 5)


def test_the_file_is_made_of_the_published_page(made):
    kept = made.DATA.read_text(encoding="utf-8")
    assert kept == made.document(), "run `python docs/make_verdicts.py`"


def test_every_claim_of_the_page_is_there_with_its_verdict():
    """Against the table that the page begins with, which the script does not read."""
    page = (DOCS / "reproduction.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    table = {row[0].strip("| `"): row[2].strip("| ") for row in rows}
    assert len(table) > 10
    assert {key: one.verdict.label for key, one in ledger_verdicts().items()} == table
    assert all(one.n_seeds > 0 and one.protocol for one in ledger_verdicts().values())


def test_the_script_reads_what_the_ledger_writes(made, tmp_path, monkeypatch):
    from pullback.reproduction import CLAIMS, reproduce

    claims = {"finsler-gap": CLAIMS["finsler-gap"]}
    (entry,) = reproduce(out=tmp_path, n_seeds=2, quick=True, claims=claims)
    monkeypatch.setattr(made, "PAGE", tmp_path / "ledger.md")
    text = (tmp_path / "ledger.md").read_text()
    found = made.claim(text.split("\n## ")[1])
    assert found["key"] == "finsler-gap"
    assert found["statement"] == entry.claim.statement
    assert found["protocol"] == entry.claim.differences
    assert found["verdict"] == entry.verdict.label
    assert found["n_seeds"] == 2
    assert f'"verdict": "{entry.verdict.label}"' in made.document()


@pytest.mark.parametrize("verdict", [Verdict.FAILS, Verdict.OPEN])
@pytest.mark.parametrize(
    ("there", "words"),
    [
        (Verdict.REPRODUCED, "It holds under the protocol of the ledger: Digits."),
        (Verdict.PARTLY, "It holds in part under the protocol of the ledger: Digits."),
        (Verdict.NOT_REPRODUCED, "Nor is it borne out under the protocol of the ledger: Digits."),
        (Verdict.OPEN, "The protocol there: Digits."),
    ],
)
def test_what_a_run_does_not_bear_out_is_told_with_the_protocol_of_the_ledger(
    verdict, there, words
):
    told = told_beside(verdict, [said("one", there)])
    assert f"(5 seeds) `one` is {there.label}. 1 of 2 criteria met." in told
    assert words in told


def test_what_holds_is_told_without_a_doubt_and_a_protocol_of_several_once():
    both = [said("one", Verdict.REPRODUCED), said("two", Verdict.NOT_REPRODUCED)]
    told = told_beside(Verdict.HOLDS, both)
    assert "`one` is reproduced." in told
    assert "`two` is not reproduced." in told
    assert told.count("The protocol there: Digits.") == 1
    assert "It holds" not in told
    assert "So few seeds" not in told
    few = told_beside(Verdict.HOLDS, [replace(both[0], n_seeds=2)])
    assert "(2 seeds)" in few
    assert "So few seeds" in few
    apart = [both[0], said("three", Verdict.PARTLY, "Frames.")]
    assert "in part under the protocol of the ledger: Frames." in told_beside(Verdict.FAILS, apart)
