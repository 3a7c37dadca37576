"""What holds for the package as a whole: quick to import, typed, versioned, ready to install."""

import importlib.util
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HELP = (
    "import sys; sys.argv = ['pullback', '--help']; from pullback.cli.app import main; "
    "sys.exit(main())"
)


def python(code):
    """Run code in a new process that sees the package, and return its output."""
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def seconds_of(code):
    """The best of five times that a new process takes for the code, its own start included."""

    def once():
        start = time.perf_counter()
        python(code)
        return time.perf_counter() - start

    return min(once() for _ in range(5))


def test_the_package_imports_quickly():
    assert seconds_of("import pullback") < 0.3


@pytest.mark.skipif(
    importlib.util.find_spec("pullback.cli.app") is None, reason="there is no command line yet"
)
def test_the_command_line_helps_quickly():
    assert seconds_of(HELP) < 0.3


def test_the_import_loads_nothing_heavy():
    heavy = "torch", "numpy", "scipy", "sklearn", "matplotlib", "pandas"
    loaded = python(f"import pullback, sys; print([m for m in {heavy} if m in sys.modules])")
    assert loaded.strip() == "[]"


def test_public_names_are_loaded_when_used():
    code = "import pullback as pb; print(dir(pb) == pb.__all__, pb.errors.__name__, pb.errors is "
    assert python(code + "pb.errors)").split() == ["True", "pullback.errors", "True"]


@pytest.mark.parametrize("name", ["Manifold", "load", "curves", "datasets", "models", "statistics"])
def test_every_public_name_is_there(name):
    import pullback

    assert getattr(pullback, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    import pullback

    with pytest.raises(AttributeError, match="module 'pullback' has no attribute 'geodesy'"):
        _ = pullback.geodesy


def test_all_is_sorted_and_every_submodule_is_there():
    import pullback

    assert sorted(pullback.__all__) == list(pullback.__all__)
    for name in pullback.__all__:
        if name not in ("Decoder", "Manifold", "load", "__version__"):
            assert (ROOT / "src" / "pullback" / name).with_suffix(".py").exists() or (
                ROOT / "src" / "pullback" / name / "__init__.py"
            ).exists(), name


def test_the_version_is_the_changelog_s_and_the_citation_s():
    from pullback import __version__

    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text()
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_package_is_typed():
    assert (ROOT / "src" / "pullback" / "py.typed").exists()


def test_what_is_needed_is_pinned_and_the_readme_names_every_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = {
        line.split("==")[0]
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    extras = project["optional-dependencies"]
    needed = project["dependencies"] + [need for extra in extras.values() for need in extra]
    names = {need.split(">")[0].split("[")[0] for need in needed} - {"pullback"}
    assert names == pinned
    readme = (ROOT / "README.md").read_text()
    assert not [extra for extra in extras if f"`{extra}`" not in readme]


def test_modules_have_telling_names():
    vague = {"utils", "util", "core", "misc", "helpers", "common"}
    paths = [*(ROOT / "src").rglob("*"), *(ROOT / "tests").rglob("*")]
    assert not [path for path in paths if path.stem in vague]
