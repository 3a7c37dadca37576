"""The guides of CONTRIBUTING.md, followed word for word: their blocks of code are what runs here.

A block begins with the file that it is. New files are put where the package looks for them, in a
folder of the test's own; lines to add to a file are run in the module that the file is. What a
guide's tests test is thus imported by the names that it will have. Afterwards all is as before.
"""

import contextlib
import doctest
import importlib.util
import inspect
import itertools
import re
import sys
from pathlib import Path

import pytest
import sklearn.base

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```python\n# (in )?(\S+\.py)\n(.*?)```", re.DOTALL)
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
GUIDES = dict(re.findall(r"^## Add an? ([^\n]*)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
NAMES = ["likelihood", "metric", "solver", "sampler", "estimator", "chapter to the report"]
NAMES += ["claim to the ledger", "command"]


def test_every_guide_is_followed_and_each_of_its_blocks_says_what_it_is():
    assert list(GUIDES) == NAMES
    for guide in GUIDES.values():
        assert len(BLOCK.findall(guide)) == guide.count("```python") > 0


def test_what_a_guide_names_is_there():
    new = {path for more, path, _ in BLOCK.findall(PAGE) if not more}
    for path in re.findall(r"`(?:# in )?([\w/]+/[\w/]*(?:\.py)?)`", PAGE):
        if "your_" not in path and path not in new:
            assert (ROOT / path).exists() or (ROOT / "src/pullback" / path).exists(), path


class Follower:
    """Does what a guide says, and takes it back."""

    def __init__(self, folder, undo):
        self.folder, self.undo = folder, undo
        self.tests = {}

    def put(self, path, code):
        """Make a new file where Python looks for the modules of its package."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code, encoding="utf-8")
        if path.startswith("tests/"):
            self.tests[path] = module_at(file)
            return
        name = name_of(path)
        package = importlib.import_module(name.rpartition(".")[0])
        self.undo.callback(sys.modules.pop, name, None)
        self.keep(package, file.stem, "__path__")
        package.__path__ = [*package.__path__, str(file.parent)]
        importlib.invalidate_caches()

    def add(self, path, code, *, public):
        """Run lines in the module that a file is, and make public what they import."""
        if path.startswith("tests/"):
            self.tests[path] = module = module_at(ROOT / path)
        else:
            module = importlib.import_module(name_of(path))
        before = set(vars(module))
        self.keep(module, *before, *compile(code, path, "exec").co_names)
        exec(compile(code, path, "exec"), vars(module))
        if public and path.endswith("__init__.py"):
            module.__all__ += set(vars(module)) - before

    def keep(self, module, *names):
        """Let names of a module, and what is listed under them, be in the end as they are now."""
        space = vars(module)
        for name in set(names):
            if name not in space:
                self.undo.callback(space.pop, name, None)
                continue
            self.undo.callback(space.__setitem__, name, space[name])
            if type(space[name]) is list:
                self.undo.callback(space[name].__setitem__, slice(None), [*space[name]])
            if type(space[name]) is dict and not name.startswith("__"):
                self.undo.callback(space[name].update, dict(space[name]))
                self.undo.callback(space[name].clear)


def name_of(path):
    return path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def module_at(file):
    spec = importlib.util.spec_from_file_location(f"guided_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def following(name, folder):
    """Follow a guide; yield the modules of its tests, by their files, and take all back."""
    from pullback.cli.app import app
    from pullback.models.likelihoods import base, readings

    with contextlib.ExitStack() as undo:
        follower = Follower(folder, undo)
        for module in (base, readings):  # where a likelihood enters its name by itself
            follower.keep(module, *vars(module))
        undo.callback(setattr, app, "registered_commands", [*app.registered_commands])
        for more, path, code in BLOCK.findall(GUIDES[name]):
            if more:
                follower.add(path, code, public="name it in its `__all__`" in GUIDES[name])
            else:
                follower.put(path, code)
        yield follower.tests


@pytest.fixture
def follow(tmp_path):
    with contextlib.ExitStack() as undo:
        yield lambda name: undo.enter_context(following(name, tmp_path / "guide"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_tests_of_a_guide_pass(name, follow, request, tmp_path):
    tests = follow(name)
    (own,) = (module for path, module in tests.items() if not (ROOT / path).exists())
    found = [value for key, value in vars(own).items() if key.startswith("test_")]
    assert len(found) > 0
    for more, path, _ in BLOCK.findall(GUIDES[name]):
        if path.startswith("src/") and not more:
            examples = doctest.testmod(importlib.import_module(name_of(path)))
            assert examples.failed == 0
    for number, test in enumerate(found):
        given = {key: request.getfixturevalue(key) for key in inspect.signature(test).parameters}
        if "tmp_path" in given:
            given["tmp_path"] = tmp_path / str(number)
            given["tmp_path"].mkdir()
        test(**given)


@pytest.mark.slow
def test_a_likelihood_is_known_by_its_name(follow, tmp_path):
    (laws,) = (m for path, m in follow("likelihood").items() if "every_likelihood" in path)
    laws.test_there_is_an_example_for_each()
    laws.test_it_trains_measures_draws_saves_and_loads(laws.train("laplace"), tmp_path)


@pytest.mark.slow
def test_a_sampler_obeys_the_laws(follow):
    (laws,) = (m for path, m in follow("sampler").items() if path.endswith("test_laws.py"))
    laws.test_every_public_sampler_is_here()
    held = 0
    for key, law in vars(laws).items():
        if key.startswith("test_"):
            for values in cases_of(law, "random walk", without=laws.DRAWS):
                law(**values)
                held += 1
    assert held > 20


def cases_of(law, name, *, without):
    """Yield the arguments of a law of samplers, for one of them."""
    marks = [mark for mark in getattr(law, "pytestmark", ()) if mark.name == "parametrize"]
    if not any(mark.args[0] == "name" and mark.args[1] is not without for mark in marks):
        return
    axes = []
    for mark in marks:
        names, values = mark.args
        if names == "name":
            axes.append([{"name": name}])
        elif isinstance(names, str):
            axes.append([{names: value} for value in values])
        else:
            axes.append([dict(zip(names, value, strict=True)) for value in values])
    for chosen in itertools.product(*axes):
        yield {key: value for part in chosen for key, value in part.items()}


@pytest.mark.slow
def test_an_estimator_keeps_scikit_learns_contract(follow):
    from sklearn.utils import estimator_checks as checks

    from pullback import Manifold, statistics
    from pullback.metrics import PullbackMetric

    (groups,) = (m for path, m in follow("estimator").items() if "check_estimator" in path)
    groups.test_every_estimator_is_checked()
    estimator = statistics.NearestMean(Manifold(PullbackMetric(groups.identity)))
    for check in (
        checks.check_no_attributes_set_in_init,
        checks.check_get_params_invariance,
        checks.check_estimators_unfitted,
        checks.check_estimators_nan_inf,
        checks.check_n_features_in,
        checks.check_classifiers_classes,
        checks.check_classifiers_train,
        checks.check_requires_y_none,
    ):
        check("NearestMean", sklearn.base.clone(estimator))


@pytest.mark.parametrize("name", NAMES)
def test_what_was_followed_is_taken_back(name, tmp_path):
    blocks = [(more, path) for more, path, _ in BLOCK.findall(GUIDES[name])]
    ours = [(more, path) for more, path in blocks if path.startswith("src/")]
    for more, path in ours:
        importlib.import_module(name_of(path) if more else name_of(path).rpartition(".")[0])
    from pullback import Manifold, testing  # noqa: F401 - what tests of guides load for good

    before = state()
    with following(name, tmp_path):
        assert state() != before
        assert any(name_of(path) in sys.modules for more, path in ours if not more)
    assert state() == before


def state():
    """What the package knows: its modules, their names, and what is listed under these."""
    from pullback.cli.app import app

    modules = {key: vars(module) for key, module in sys.modules.items() if key[:8] == "pullback"}
    listed = {
        (key, name): [*value]
        for key, space in modules.items()
        for name, value in space.items()
        if type(value) in (list, dict) and (name[:2] != "__" or name in ("__all__", "__path__"))
    }
    names = {key: {*space} for key, space in modules.items()}
    return names, listed, [*app.registered_commands]
