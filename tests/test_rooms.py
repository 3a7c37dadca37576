"""The interior of each folder: its rooms stand in order, and imports point leftwards there too.

Every module is parsed, so that imports inside functions and under `TYPE_CHECKING` count too.
"""

import ast
import importlib.util
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "pullback"
TESTS = Path(__file__).parent
MOST = 14  # entries that a folder shows, beside its `__init__.py`

# By folder: its modules and folders, from left to right. What stands in one group does not know of
# each other. A folder knows the others of its own only.
ROOMS = {
    "autodiff": [["contexts", "elementwise", "jet"], ["rules", "transforms"], ["smooth_map"]],
    "models": [
        ["encoder", "ensemble", "networks", "priors", "standardization"],
        ["objectives"],
        ["likelihoods"],
        ["decoding"],
        ["config", "dropout"],
        ["model"],
        ["storage"],
        ["training"],
        ["vae"],
    ],
    "metrics": [
        ["chords", "families"],
        ["base"],
        ["immersions"],
        ["composite", "pullback", "restricted", "tables"],
        ["ambient", "ensemble"],
        ["explicit", "information"],
        ["enriched"],
        ["choice"],
    ],
    "geodesics": [
        ["base", "batch", "kernels", "tally"],
        ["fields", "initial_value", "result"],
        ["solvers"],
        ["search"],
        ["end_hessian", "solve"],
        ["distances", "first_variation"],
        ["ruler"],
    ],
    "manifolds": [
        ["curvature", "geodesic_space", "logarithm", "reference", "spreading"],
        ["latent_space", "transport"],
        ["voronoi"],
        ["analogy", "decorrelated", "posterior"],
        ["manifold"],
    ],
    "statistics": [
        ["logarithms", "storage"],
        ["base"],
        ["centers", "distances", "encoder"],
        ["clustering", "geodesic_models"],
        ["densities"],
    ],
    "sampling": [
        ["diagnostics"],
        ["samples"],
        ["base"],
        ["brownian", "chains", "excursion", "independent", "support"],
        ["along", "generation", "heat_kernel", "volume"],
    ],
    "runs": [
        ["preparation", "quantities", "streams"],
        ["folder"],
        ["run", "training"],
    ],
    "explorer": [
        ["doors", "planes"],
        ["scene"],
        ["fields", "stage"],
        ["messages"],
        ["answers"],
        ["alone", "desk"],
        ["notebook", "server"],
        ["explorer"],
    ],
    "reproduction": [
        ["claim", "lab"],
        ["claims", "judgement"],
        ["ledger"],
        ["telling"],
        ["writing"],
        ["reproduce"],
    ],
    "plots": [
        ["style"],
        ["charts", "images", "paths"],
        ["maps"],
        ["cells", "clusters"],
    ],
}


def room_of(file: Path, folder: Path) -> str:
    return file.relative_to(folder).with_suffix("").parts[0]


def arrows(folder: Path):
    """Yield file, line, room and the room that it imports from, for each import inside a folder."""
    home = ["pullback", folder.name]
    for file in sorted(folder.rglob("*.py")):
        source = room_of(file, folder)
        if source == "__init__":
            continue  # which knows all of its folder
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for name in imported(node, home):
                parts = name.split(".")
                if parts[:2] == home and len(parts) > 2:
                    yield file, node.lineno, source, parts[2]


def imported(node: ast.AST, home: list[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        if node.module == ".".join(home):  # by the folder's own front door
            return [f"{node.module}.{alias.name}" for alias in node.names]
        return [node.module]
    return []


def wrong_arrows(folder: Path, rooms: list[list[str]]) -> list[str]:
    rank = {room: k for k, group in enumerate(rooms) for room in group}
    wrong = []
    for file, line, source, target in arrows(folder):
        if source not in rank:
            wrong.append(f"{file}:{line}: {source} has no place in `ROOMS`")
        elif target != source and rank.get(target, len(rank)) >= rank[source]:
            wrong.append(f"{file}:{line}: {source} -> {target}")
    return wrong


@pytest.mark.parametrize("name", ROOMS)
def test_imports_inside_of_a_folder_point_leftwards(name):
    wrong = wrong_arrows(PACKAGE / name, ROOMS[name])
    assert not wrong, "imports against the order of rooms:\n" + "\n".join(wrong)
    listed = {room for group in ROOMS[name] for room in group}
    there = {path.stem for path in (PACKAGE / name).iterdir() if path.suffix == ".py"}
    there |= {path.name for path in (PACKAGE / name).iterdir() if (path / "__init__.py").exists()}
    assert there - {"__init__"} == listed


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("from pullback.plots.maps.volume import volume", "style -> maps"),
        ("def late():\n    import pullback.plots.maps.volume", "style -> maps"),
        ("from pullback.plots import volume", "style -> volume"),
        ("if TYPE_CHECKING:\n    from pullback.plots.cells import cells", "style -> cells"),
        ("from pullback.plots import maps", "style -> maps"),
    ],
)
def test_an_arrow_that_is_turned_is_found(tmp_path, source, said):
    folder = tmp_path / "plots"
    (folder / "maps").mkdir(parents=True)
    (folder / "style.py").write_text(source)
    (folder / "maps" / "volume.py").write_text("from pullback.plots.style import theme")
    (wrong,) = wrong_arrows(folder, ROOMS["plots"])
    assert wrong.endswith(said)


@pytest.mark.parametrize(
    "folder",
    [path.parent for path in sorted(PACKAGE.rglob("__init__.py")) if path.parent != PACKAGE],
    ids=lambda path: str(path.relative_to(PACKAGE)),
)
def test_no_folder_shows_more_than_can_be_taken_in(folder):
    shown = [path for path in folder.iterdir() if path.name not in ("__init__.py", "__pycache__")]
    assert len(shown) <= MOST, sorted(path.name for path in shown)


def test_tests_lie_where_what_they_test_lies():
    homes = {}
    for file in PACKAGE.rglob("*.py"):
        homes.setdefault(file.stem, set()).add(file.parent.relative_to(PACKAGE))
    for file in TESTS.rglob("test_*.py"):
        here, name = file.parent.relative_to(TESTS), file.stem.removeprefix("test_")
        inside = {home for home in homes.get(name, ()) if home.parts[:1] == here.parts[:1]}
        assert not inside or here in inside, f"{file} belongs to {sorted(map(str, inside))}"


def test_the_page_of_the_architecture_is_drawn_from_the_imports():
    path = TESTS.parent / "docs" / "make_architecture.py"
    spec = importlib.util.spec_from_file_location("make_architecture", path)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    cure = "run `python docs/make_architecture.py`"
    assert made.PAGE.read_text(encoding="utf-8") == made.page(), cure
