"""Every public name says what it is and shows how it is used."""

import importlib
import inspect
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if path.stem != "__main__"
)

# Each of these takes seconds to compile by itself: examples of `table_search` use them all.
KERNELS = [
    name
    for name in MODULES
    if name.startswith("pullback.geodesics.kernels.") and not name.endswith(".table_search")
]


def public_objects(module):
    """Yield each public class and function of a module that is defined in it, with its name."""
    for name in module.__all__:
        value = getattr(module, name)
        if getattr(value, "__module__", "") == module.__name__ and (
            inspect.isclass(value) or callable(value)
        ):
            yield f"{module.__name__}.{name}", value


def public_methods(cls):
    """Yield each public method and property that a class defines itself."""
    for name, value in vars(cls).items():
        value = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            yield name, value


def described(cls, method):
    """Whether the method, or what it overrides in a class of the same package, has a docstring."""
    package = cls.__module__.split(".")[0]
    ours = [base for base in cls.__mro__ if base.__module__.split(".")[0] == package]
    return any(getattr(vars(base).get(method), "__doc__", None) for base in ours)


def undescribed(module):
    """Return the public names of a module without a docstring."""
    names = [] if module.__doc__ else [module.__name__]
    for name, value in public_objects(module):
        # A dataclass without a docstring gets its signature for one.
        own = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
        if not own or own.startswith(f"{name.rsplit('.', 1)[1]}("):
            names.append(name)
        if inspect.isclass(value):
            names += [f"{name}.{m}" for m, _ in public_methods(value) if not described(value, m)]
    return names


def without_example(module):
    """Return the public functions and classes that show no use, in themselves or in a method."""
    names = []
    for name, value in public_objects(module):
        texts = [value.__doc__ or ""]
        if inspect.isclass(value):
            if issubclass(value, BaseException):
                continue  # an error is raised by us, not used
            texts += [method.__doc__ or "" for _, method in public_methods(value)]
        if not any(">>>" in text for text in texts):
            names.append(name)
    return names


def order_of_all(name):
    """The order that ruff keeps `__all__` in: constants, classes, the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("name", MODULES)
def test_all_is_there_sorted_and_true(name):
    module = importlib.import_module(name)
    if not hasattr(module, "__all__"):
        assert not [n for n, v in vars(module).items() if public_here(module, n, v)], (
            f"{name} has public names, but no __all__"
        )
        return
    names = list(module.__all__)
    if name == "pullback.models":  # whose likelihoods come first, as they are named in their room
        assert names[: len(module.likelihoods.__all__)] == list(module.likelihoods.__all__)
        names = names[len(module.likelihoods.__all__) :]
    assert names == sorted(set(names), key=order_of_all)
    missing = [n for n in module.__all__ if not hasattr(module, n)]
    assert not missing, f"{name}.__all__ names what is not there: {missing}"


def public_here(module, name, value):
    return not name.startswith("_") and getattr(value, "__module__", "") == module.__name__


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name):
    module = importlib.import_module(name)
    names = undescribed(module) if hasattr(module, "__all__") else []
    assert not names, "public names without a docstring:\n" + "\n".join(names)


@pytest.mark.parametrize("name", [name for name in MODULES if name not in KERNELS])
def test_public_names_have_doctests(name):
    module = importlib.import_module(name)
    names = without_example(module) if hasattr(module, "__all__") else []
    assert not names, "public names without a doctest (>>>):\n" + "\n".join(names)


def test_the_checks_find_what_is_missing(tmp_path, monkeypatch):
    (tmp_path / "bare_module.py").write_text(
        "from dataclasses import dataclass\n"
        "__all__ = ['Bare', 'Data', 'Described', 'bare']\n"
        "def bare(): ...\n"
        "class Bare:\n"
        "    def method(self): ...\n"
        "@dataclass\n"
        "class Data:\n"
        "    x: int\n"
        "class Described:\n"
        "    'What it is.'\n"
        "    def shown(self):\n"
        "        '>>> 1'\n"
        "    @property\n"
        "    def silent(self): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("bare_module")
    assert undescribed(module) == [
        "bare_module",
        "bare_module.Bare",
        "bare_module.Bare.method",
        "bare_module.Data",
        "bare_module.Described.silent",
        "bare_module.bare",
    ]
    assert without_example(module) == ["bare_module.Bare", "bare_module.Data", "bare_module.bare"]


RENAMED = {"pullback.shapes.Status": "StatusCodes"}
"""Public names of 0.1 that have another name now, which their warning tells."""


def test_the_public_names_of_0_1_are_still_there():
    names = Path(__file__).with_name("public_names_of_0_1.txt").read_text().split()
    assert len(names) > 250
    for name in names:
        module, _, short = name.rpartition(".")
        if name in RENAMED:
            with pytest.warns(DeprecationWarning, match=RENAMED[name]):
                getattr(importlib.import_module(module), short)
        else:
            assert hasattr(importlib.import_module(module), short), name
