"""What holds for the package as a whole: quick to import, typed, versioned, ready to install."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HELP = (
    "import contextlib, sys; sys.argv = ['pullback', '--help']; from pullback.cli.app import main\n"
    "with contextlib.suppress(SystemExit): main()\n"
    "pass"
)


def python(code):
    """Run code in a new process that sees the package, and return its output."""
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=3600
    ).stdout


def loaded_by(code):
    """What a new process has loaded after the code: the names of modules, and how many."""
    names = python(f"{code}; import sys; print(*sys.modules)").splitlines()[-1].split()
    return {name.partition(".")[0] for name in names}, len(names)


# What takes time is what is loaded: a process has some 30 modules before it does anything.
@pytest.mark.parametrize(("code", "most"), [("import pullback", 90), (HELP, 200)])
def test_what_must_be_quick_loads_little_and_nothing_heavy(code, most):
    names, count = loaded_by(code)
    assert "pullback" in names
    assert not names & {"torch", "numpy", "scipy", "sklearn", "matplotlib", "pandas", "rich"}
    assert count < most


@pytest.mark.slow
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
        if name not in (*pullback._HOMES, "__version__"):
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
