"""Every claim runs in the small, says what it is, and reads only numbers that it measured."""

import math

import pytest

from pullback.reproduction import CLAIMS
from pullback.reproduction.judgement import judge
from pullback.reproduction.lab import Lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    return Lab(tmp_path_factory.mktemp("lab"))


@pytest.mark.parametrize("key", CLAIMS)
def test_a_claim_says_what_it_is(key):
    claim = CLAIMS[key]
    assert claim.key == key
    for text in (claim.statement, claim.source, claim.protocol, claim.differences):
        assert text.strip().endswith((".", ")")) or text is claim.source
        assert len(text) > 20
    assert set(claim.quick) <= set(claim.settings)
    assert claim.criteria


@pytest.mark.thorough
@pytest.mark.parametrize("key", CLAIMS)
def test_a_claim_measures_what_its_criteria_read(key, lab):
    claim = CLAIMS[key]
    found = claim.measure(lab, 0, **claim.settings_of(quick=True))
    assert found
    assert all(isinstance(value, float) for row in found.values() for value in row.values())
    for finding in judge(claim, [found]):
        assert math.isfinite(finding.mean), finding.criterion.text
    again = claim.measure(lab, 0, **claim.settings_of(quick=True))
    assert repr(again) == repr(found)
