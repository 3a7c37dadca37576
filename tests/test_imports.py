"""The chain of the architecture: imports point leftwards only.

Every module is parsed, so that imports inside functions and under `TYPE_CHECKING` count too.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "pullback"

# From left to right. What stands in one group does not know of each other.
CHAIN = [
    ["version"],
    ["shapes"],
    ["display", "errors", "progress"],
    ["exclusive", "files", "formulas"],
    ["autodiff", "linalg", "randomness"],
    ["datasets", "models"],
    ["metrics"],
    ["curves"],
    ["geodesics"],
    ["manifolds"],
    ["statistics", "sampling", "testing"],
    ["plots", "adapters", "runs", "pages"],
    ["reproduction", "report", "explorer"],
    ["cli"],
    ["__main__"],
    ["__init__"],  # the public names: it knows everything, and nothing imports from it
]
RANK = {name: rank for rank, group in enumerate(CHAIN) for name in group}

# Tighter than the chain: a data set is arrays, so it needs nothing of the mathematics.
ONLY = {"datasets": {"display", "errors", "exclusive"}}


def wrong_arrows(package: Path) -> list[str]:
    """Return a message, with file, line and arrow, for each import that is against the chain."""
    wrong = []
    for file in sorted(package.rglob("*.py")):
        source = part_of(file, package)
        if source not in RANK:
            wrong.append(f"{file}:1: {source} has no place in the chain: give it one in {__file__}")
            continue
        for line, target in imported_parts(file, package):
            if complaint := complain(source, target):
                wrong.append(f"{file}:{line}: {source} -> {target}: {complaint}")
    return wrong


def complain(source: str, target: str) -> str:
    if source == target:
        return ""
    if target not in RANK:
        return f"{target} has no place in the chain"
    if RANK[target] > RANK[source]:
        return f"{target} stands to the right of {source}"
    if RANK[target] == RANK[source]:
        return f"{target} stands beside {source}, and neither may know of the other"
    if target not in ONLY.get(source, RANK):
        return f"{source} may import nothing but {', '.join(ONLY[source])}"
    return ""


def part_of(file: Path, package: Path) -> str:
    return file.relative_to(package).with_suffix("").parts[0]


def imported_parts(file: Path, package: Path):
    """Yield the line and the part of the package, for each import of the package in a file."""
    parts = {path.stem for path in package.iterdir()} - {"__init__"}
    home = [package.name, *file.relative_to(package).parent.parts]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        for name in imported_names(node, home):
            top, *inner = name.split(".")
            if top == package.name:
                yield node.lineno, inner[0] if inner and inner[0] in parts else "__init__"


def imported_names(node: ast.AST, home: list[str]) -> list[str]:
    """Return the absolute dotted names that a node imports, `home` being the file's own package."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = home[: len(home) - node.level + 1] if node.level else []
    module = ".".join(base + ([node.module] if node.module else []))
    return [f"{module}.{alias.name}" for alias in node.names]


@pytest.mark.slow
def test_imports_point_leftwards():
    wrong = wrong_arrows(PACKAGE)
    assert not wrong, "imports against the chain:\n" + "\n".join(wrong)


@pytest.mark.slow
def test_every_module_is_looked_at():
    arrows = [arrow for file in PACKAGE.rglob("*.py") for arrow in imported_parts(file, PACKAGE)]
    assert "version" in {target for _, target in arrows}
    assert len(arrows) > 10


@pytest.fixture
def tree(tmp_path):
    """A package in which every arrow is right."""
    files = {
        "__init__": "from pullback.manifolds import Manifold\nfrom pullback import curves",
        "errors": "import math, torch",
        "autodiff": "from pullback.errors import PullbackError",
        "datasets/__init__": "from pullback.datasets.files import read_table",
        "datasets/files": "from pullback.errors import PullbackError",
        "models/__init__": "from . import vae\nfrom .vae import VAE",
        "models/vae": "from pullback import autodiff\nfrom ..errors import PullbackError",
        "curves/__init__": "import pullback.models.vae",
        "manifolds/__init__": "def late():\n    from pullback.curves import Curve",
        "report/__init__": "import numpy",
        "cli/__init__": "from pullback import report",
    }
    package = tmp_path / "pullback"
    for name, source in files.items():
        path = package / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    return package


def test_right_arrows_pass(tree):
    assert wrong_arrows(tree) == []


@pytest.mark.parametrize(
    ("file", "source", "line", "arrow"),
    [
        ("autodiff", "from pullback.models import VAE", 1, "autodiff -> models"),
        ("models/vae", "import math\nimport pullback.curves", 2, "models -> curves"),
        ("models/vae", "def f():\n    from pullback import curves", 2, "models -> curves"),
        ("models/vae", "from ..curves.spline import Spline", 1, "models -> curves"),
        ("models/vae", "from .. import curves", 1, "models -> curves"),
        ("models/vae", "if TYPE_CHECKING:\n    import pullback.curves", 2, "models -> curves"),
        ("models/vae", "from pullback.datasets import mnist", 1, "models -> datasets"),
        ("datasets/files", "from pullback import models", 1, "datasets -> models"),
        ("datasets/files", "from pullback.autodiff import jvp", 1, "datasets -> autodiff"),
        ("report/__init__", "import pullback.cli", 1, "report -> cli"),
        ("manifolds/__init__", "import pullback as pb", 1, "manifolds -> __init__"),
        ("manifolds/__init__", "from pullback import Manifold", 1, "manifolds -> __init__"),
        ("manifolds/__init__", "from pullback import *", 1, "manifolds -> __init__"),
    ],
)
def test_an_arrow_turned_round_is_found(tree, file, source, line, arrow):
    path = tree / f"{file}.py"
    path.write_text(source)
    (message,) = wrong_arrows(tree)
    assert message.startswith(f"{path}:{line}: {arrow}: ")


def test_a_new_part_needs_a_place(tree):
    (tree / "misc.py").write_text("import math")
    (message,) = wrong_arrows(tree)
    assert "misc has no place in the chain" in message
