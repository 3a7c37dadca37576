"""The streams of a run stay what they are, so that a report that is written again is the same."""

import numpy as np
import pytest

from pullback.runs import Stream

NUMBERS = {
    "SAMPLES": 1,
    "GRAPH": 2,
    "PROBES": 3,
    "DENSITY": 4,
    "PAIRS": 5,
    "WALKS": 6,
    "MATCHES": 7,
}
"""Of the published figures: append, and change none."""


def test_the_numbers_are_those_of_the_published_figures():
    assert {stream.name: stream.value for stream in Stream} == NUMBERS


@pytest.mark.parametrize("stream", Stream)
def test_a_stream_is_that_of_its_number(stream):
    expected = np.random.default_rng([3, NUMBERS[stream.name]]).random(4)
    np.testing.assert_array_equal(stream.generator(3).random(4), expected)
