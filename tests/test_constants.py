"""Every number that the package goes by says what it is."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "pullback"


def is_number(node):
    """Whether an expression is numbers only: one, arithmetic of some, or a tuple, list or dict."""
    if isinstance(node, ast.Tuple | ast.List):
        return bool(node.elts) and all(map(is_number, node.elts))
    if isinstance(node, ast.Dict):
        return bool(node.values) and all(map(is_number, node.values))
    if isinstance(node, ast.BinOp):
        return is_number(node.left) and is_number(node.right)
    if isinstance(node, ast.UnaryOp):
        return is_number(node.operand)
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def unexplained(source):
    """Yield the line and the code of each constant of a module that nothing is said of."""
    lines, body = source.splitlines(), ast.parse(source).body
    for k, node in enumerate(body):
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not is_number(node.value):
            continue
        after = body[k + 1] if k + 1 < len(body) else None
        described = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        above = lines[node.lineno - 2].startswith("# ")
        if not (described or above or "  # " in lines[node.end_lineno - 1]):
            yield node.lineno, lines[node.lineno - 1]


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.stem)
def test_constants_say_what_they_are(file):
    found = [f"{file}:{line}: {code}" for line, code in unexplained(file.read_text("utf-8"))]
    assert not found, "say what it is, in which unit, and why so large:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "n"),
    [
        ("_A = 1", 1),
        ("_A, _B = 1, 2.5", 1),
        ("_A = -(2**9)\n\n\n# Of what follows.\n\ndef f(): ...", 1),
        ("_A: dict[int, float] = {1: 0.5}", 1),
        ("# Metres.\n_A = 1", 0),
        ("_A = 1  # metres", 0),
        ('A = 1\n"""Metres."""', 0),
        ('_A = "words"\n_B = len(_A)\n_C = ()', 0),
    ],
)
def test_one_that_says_nothing_is_found(source, n):
    assert len(list(unexplained(source))) == n
