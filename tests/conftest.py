"""What all tests share: fixed seeds, no waiting on hypothesis, and a reason where a GPU is missing.

`pullback` is imported inside fixtures only: an import up here would come before the run-time check
of shapes (`--jaxtyping-packages`) is in place, and silently switch it off.
"""

import functools
import inspect
import time
import zlib
from collections import Counter
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import settings

settings.register_profile("pullback", deadline=None, derandomize=True)
settings.load_profile("pullback")

# Examples of docstrings that took more than 0.3 s of CPU: they cannot carry a mark themselves.
SLOW_EXAMPLES = set(Path(__file__).with_name("slow_examples.txt").read_text().split())

# Calls that are checked of each function in each test. All of them made the tests take twice as
# long, ten a sixth longer than none.
_CHECKED = 4
_CHECKED_INSIDE = 1  # of a function in a function, which is defined, so decorated, again and again
_check = jaxtyping.jaxtyped

# Salt of the names by which thorough tests are parted into shares: of a thousand tried, the one
# whose five shares take the most equal time (169 to 190 s of CPU).
_SALT = 974

# Folders at the beginning of the line, of which one of two processes gets the first half: their
# tests search on tables, for which kernels are compiled for half a minute. Meanwhile the other
# process has what needs none; those in the last folder come when it has been done.
_FIRST, _LAST = ("cli", "explorer", "geodesics"), "statistics"


class ShapeChecks:
    """Check the shapes of the first calls of each function in each test, and of no more."""

    def __init__(self, most):
        self.most = most
        self.calls = Counter()

    def __call__(self, fn=None, *, typechecker):
        """Decorate in the place of `jaxtyping.jaxtyped`."""
        if fn is None:
            return functools.partial(self, typechecker=typechecker)
        if isinstance(fn, classmethod | staticmethod):
            return type(fn)(self(fn.__func__, typechecker=typechecker))
        if fn.__name__.startswith("__torch_"):
            return fn  # PyTorch calls it in the midst of the user's own lines, which errors name
        if not inspect.isfunction(fn):
            return _check(fn, typechecker=typechecker)
        calls, code, checked = self.calls, fn.__code__, None
        most = min(self.most, _CHECKED_INSIDE) if "<locals>" in fn.__qualname__ else self.most

        @functools.wraps(fn)
        def some_checked(*args, **kwargs):
            nonlocal checked
            if calls[code] >= most:
                return fn(*args, **kwargs)
            calls[code] += 1
            # Only now, for it is dear: a function in a function is defined again and again.
            checked = checked or _check(fn, typechecker=typechecker)
            return checked(*args, **kwargs)

        return some_checked

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self):
        self.calls.clear()


def pytest_addoption(parser):
    parser.addoption("--all-shapes", action="store_true", help="check the shapes of all calls")
    parser.addoption(
        "--thorough-share",
        type=share,
        default=(0, 1),
        metavar="K/N",
        help="run share K of the thorough tests, in N shares that do not depend on the order",
    )


def share(text):
    """Read "1/3" as the share 1 of the shares 0, 1 and 2; any number K counts from 0 again at N."""
    k, n = (int(part) for part in text.split("/"))
    return k % n, n


def share_of(item, n):
    """Return the share of a test: all of a file are in one, for they share what is dear to make."""
    file = item.nodeid.partition("::")[0]
    return zlib.crc32(f"{_SALT} {file}".encode()) % n


def place(item):
    """Return 0 for the tests that come first, 2 for those that come last, 1 for all others."""
    folder = item.nodeid.removeprefix("tests/").partition("/")[0]
    return 0 if folder in _FIRST else 2 if folder == _LAST else 1


def pytest_configure(config):
    if not config.getoption("--all-shapes"):
        jaxtyping.jaxtyped = ShapeChecks(_CHECKED)
        config.pluginmanager.register(jaxtyping.jaxtyped)


def pytest_collection_modifyitems(config, items):
    import torch

    k, n = config.getoption("--thorough-share")
    others = [item for item in items if "thorough" in item.keywords and share_of(item, n) != k]
    if others:
        config.hook.pytest_deselected(items=others)
        left_out = set(others)
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=place)

    for item in items:
        if item.name in SLOW_EXAMPLES:
            item.add_marker(pytest.mark.slow)
    if torch.cuda.is_available():
        return
    no_gpu = pytest.mark.skip(reason="needs a CUDA device, and this machine has none")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(no_gpu)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Hold a test to the seconds of its mark, in time of the CPU: other jobs do not count."""
    start = time.process_time()
    result = yield
    mark = item.get_closest_marker("cpu_seconds")
    if mark is not None:
        spent = time.process_time() - start
        assert spent < mark.args[0], f"took {spent:.1f} s of CPU, of {mark.args[0]} at most"
    return result


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """The folder of a small trained run, of two arcs in four dimensions, without any wall."""
    import numpy as np

    from pullback.datasets import Table
    from pullback.models import VAE
    from pullback.report import RunFolder, Settings, prepare

    rng = np.random.default_rng(0)
    t, y = rng.uniform(0, np.pi, 60), np.repeat(["lower", "upper"], 30)
    sign = np.where(y == "upper", 1.0, -1.0)
    X = np.stack([np.cos(t), sign * np.sin(t), t / 3, sign], 1) + 0.05 * rng.normal(size=(60, 4))
    data = prepare(Table(X, y, ("x", "y", "t", "side")))
    folder = RunFolder(tmp_path_factory.mktemp("runs") / "arcs")
    folder.begin(Settings("train", "arcs.csv", "0a"), data)
    vae = VAE(data_dim=4, latent_dim=2, std="constant", hidden=(8,))
    vae.fit(data.X_train, epochs=60, progress=False)
    vae.save(folder.model)
    vae.save(folder.network_model)
    return folder.path


@pytest.fixture(autouse=True)
def fixed_seed():
    """Start every test from the same global random state, in whatever order they run."""
    import torch

    torch.manual_seed(0)
