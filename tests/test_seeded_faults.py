"""The list of seeded faults is up to date, and the script that seeds them looks for them."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "pullback"


@pytest.fixture(autouse=True)
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.mark.slow
def test_every_fault_can_be_put_in_and_changes_the_code():
    from seeded_faults import read_faults

    faults = read_faults()
    assert len(faults) >= 60
    assert len({fault.name for fault in faults}) == len(faults)
    for fault in faults:
        right, wrong = (PACKAGE / fault.file).read_text(), fault.seeded(PACKAGE)
        assert ast.dump(ast.parse(right)) != ast.dump(ast.parse(wrong)), fault.name
        missing = [path for path in fault.tests if not (ROOT / "tests" / path).exists()]
        assert not missing, fault.name


def test_they_are_spread_over_the_package():
    from seeded_faults import read_faults

    parts = [fault.file.split("/")[0] for fault in read_faults()]
    for part in ("geodesics", "manifolds", "metrics", "models", "sampling", "statistics"):
        assert parts.count(part) >= 8, part


def test_a_text_that_is_gone_is_an_error():
    from seeded_faults import Fault

    stale = Fault("stale", "version.py", "no such text", "", [])
    with pytest.raises(ValueError, match="'no such text' stands 0 times in version.py"):
        stale.seeded(PACKAGE)


def test_the_table_says_what_found_what_and_what_nothing_did(tmp_path):
    from seeded_faults import MARKS, Fault, table, write_into

    faults = [Fault("one", "a.py", "", "", []), Fault("two", "b.py", "", "", [])]
    found = {
        "before": {"one": ["nothing", "", 9.6]},
        "now": {"one": ["test_a.py::test_it[1]", "fast", 1.2], "two": ["test_b.py::t", "slow", 7]},
    }
    told = table(faults, found)
    assert "| one | `a.py` | **nothing** (10 s) | `test_a.py::test_it` (1 s) |" in told
    assert "| two | `b.py` | - | `test_b.py::t` (7 s, slow) |" in told
    assert "before, 0 by fast tests and 0 by slow ones, of 1" in told
    assert "now, 1 by fast tests and 1 by slow ones, of 2" in told
    page = tmp_path / "page.md"
    page.write_text(f"above\n{MARKS[0]}\nold\n{MARKS[1]}\nbelow\n")
    write_into(page, told)
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith(f"{MARKS[1]}\nbelow\n")
    assert told in text
    assert "old" not in text


@pytest.mark.slow
def test_a_fault_is_put_into_a_copy_and_found(tmp_path):
    from seeded_faults import Copy, Finding, read_faults

    (fault,) = read_faults("no rival counts as distinct")
    before = (PACKAGE / fault.file).read_text()
    found = Copy(tmp_path / "copy", ROOT / "tests", []).look_for(fault, ["fast"])
    assert isinstance(found, Finding)
    assert found.by.startswith("geodesics/search/test_candidates.py::")
    assert (PACKAGE / fault.file).read_text() == before
    assert (tmp_path / "copy" / "src" / "pullback" / fault.file).read_text() == before
