"""The page that shows the API runs from top to bottom."""

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "api.md"


@pytest.mark.thorough
def test_the_page_runs_as_it_stands():
    result = doctest.testfile(
        str(PAGE),
        module_relative=False,
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.FAIL_FAST,
    )
    assert result.failed == 0
    assert result.attempted > 25
