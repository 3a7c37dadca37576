"""Every threshold says what it is, its unit and where its value is from, and is used."""

import ast
import dataclasses
import inspect
import math
from itertools import pairwise
from pathlib import Path

import pytest
from scipy.integrate import quad

from pullback.geodesics import search
from pullback.geodesics.search import thresholds
from pullback.geodesics.search.thresholds import THRESHOLDS, Thresholds

FIELDS = [field.name for field in dataclasses.fields(Thresholds)]


def said() -> dict[str, str]:
    """Return what stands below each field."""
    (body,) = [
        node.body
        for node in ast.parse(inspect.getsource(thresholds)).body
        if isinstance(node, ast.ClassDef)
    ]
    found = {}
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign):
            assert isinstance(text, ast.Expr), field.target.id
            found[field.target.id] = inspect.cleandoc(ast.literal_eval(text.value))
    return found


@pytest.mark.parametrize("name", FIELDS)
def test_a_threshold_says_what_it_is_its_unit_and_why_it_is_this_one(name):
    what, _, reasons = said()[name].partition("\n\n")
    assert len(what.split()) >= 4
    unit, _, why = reasons.partition(" Chosen: ")
    assert unit.startswith("Unit: ")
    assert unit.endswith(".")
    assert len(why.split()) >= 2


def test_every_threshold_is_used_and_none_is_ignored():
    folder = Path(search.__file__).parent
    files = [*folder.glob("*.py"), folder.parent / "solve.py"]
    used = {
        node.attr
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    assert set(FIELDS) <= used


def test_they_are_frozen_and_positive():
    for value in dataclasses.astuple(THRESHOLDS):
        assert all(part > 0 for part in (value if isinstance(value, tuple) else (value,)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        THRESHOLDS.seen = 2.0


def test_they_stand_in_order():
    t = THRESHOLDS
    # A curve twice as long as its chain is a tunnel, one longer by a thousandth was seen.
    assert 1.001 < t.seen < t.tunnelled < 2
    assert t.fine_tol < t.rough_tol
    assert t.exact < t.remains < 1
    assert t.roughly_exact < t.roughly_remains
    assert t.caution < t.conjugate
    assert t.on < t.beside
    assert t.dense_on_tables < t.dense < t.densest
    assert t.wrong < 1e-3  # what the campaign of honesty counts as wrong


def test_an_arch_is_just_not_hopeless_in_flat_space():
    slope = math.pi * THRESHOLDS.arch
    length = quad(lambda t: math.hypot(1, slope * math.cos(math.pi * t)), 0, 1)[0]
    assert length == pytest.approx(THRESHOLDS.hopeless, rel=0.02)
    assert length < THRESHOLDS.hopeless
