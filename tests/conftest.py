"""What all tests share: fixed seeds, no waiting on hypothesis, and a reason where a GPU is missing.

`pullback` is imported inside fixtures only: an import up here would come before the run-time check
of shapes (`--jaxtyping-packages`) is in place, and silently switch it off.
"""

import time

import pytest
from hypothesis import settings

settings.register_profile("pullback", deadline=None, derandomize=True)
settings.load_profile("pullback")


def pytest_collection_modifyitems(items):
    import torch

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


@pytest.fixture(autouse=True)
def fixed_seed():
    """Start every test from the same global random state, in whatever order they run."""
    import torch

    torch.manual_seed(0)
