"""Draw the architecture from the imports: `python docs/make_architecture.py` writes the page anew.

What stands between the two marks of `architecture.md` is made here: the rooms of every folder, from
left to right, each with the first sentence of its docstring and the rooms that it knows.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "pullback"
PAGE = ROOT / "docs" / "architecture.md"
ORDERED = [
    *("models", "metrics", "geodesics", "manifolds", "statistics", "sampling", "plots", "runs"),
    "reproduction",
    "explorer",
]
MARKS = "<!-- rooms -->", "<!-- end of rooms -->"


def rooms_of(folder: Path) -> dict[str, Path]:
    """Return the modules and folders in a folder, by name."""
    found = {path.stem: path for path in folder.glob("*.py") if not path.stem.startswith("__")}
    return found | {path.parent.name: path.parent for path in folder.glob("*/__init__.py")}


def sentence(path: Path) -> str:
    """Return the first line of a docstring, as a part of a table."""
    file = path / "__init__.py" if path.is_dir() else path
    first = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").split("\n")[0]
    return first.rstrip(".").replace("|", "\\|")


def known(path: Path, home: list[str], rooms: dict[str, Path]) -> set[str]:
    """Return the rooms beside it that a module, or anything in a folder, imports from."""
    files = path.rglob("*.py") if path.is_dir() else [path]
    targets = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = name.split(".")
                if parts[: len(home)] == home and len(parts) > len(home):
                    targets.add(parts[len(home)])
    return (targets & set(rooms)) - {path.stem}


def in_order(knows: dict[str, set[str]]) -> list[str]:
    """Return rooms so that each stands behind all that it knows, else by the alphabet."""
    order: list[str] = []
    while len(order) < len(knows):
        ready = [
            name for name, of in sorted(knows.items()) if name not in order and of <= set(order)
        ]
        if not ready:
            raise ValueError(f"There is a circle among {sorted(set(knows) - set(order))}.")
        order += ready
    return order


def table(folder: Path, home: list[str]) -> str:
    """Return the table of a folder."""
    rooms = rooms_of(folder)
    knows = {name: known(path, home, rooms) for name, path in rooms.items()}
    lines = ["| room | what it is | knows |", "|---|---|---|"]
    for name in in_order(knows):
        mark = f"**{name}/**" if rooms[name].is_dir() else name
        lines.append(f"| {mark} | {sentence(rooms[name])} | {', '.join(sorted(knows[name]))} |")
    return "\n".join(lines)


def drawn() -> str:
    """Return the tables of the package and of its folders that have an order of their own."""
    parts = ["### The package", table(PACKAGE, ["pullback"])]
    for name in ORDERED:
        parts += [f"### `{name}/`", table(PACKAGE / name, ["pullback", name])]
    return "\n\n".join(parts)


def page() -> str:
    """Return the page with the tables as they are now."""
    before, rest = PAGE.read_text(encoding="utf-8").split(MARKS[0])
    _, after = rest.split(MARKS[1])
    return f"{before}{MARKS[0]}\n\n{drawn()}\n\n{MARKS[1]}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
