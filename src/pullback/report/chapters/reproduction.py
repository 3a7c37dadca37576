"""How the run was made, and how to make it again."""

import platform
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch

from pullback.pages.chapter import Block, Chapter, Table
from pullback.report.study import Study
from pullback.version import __version__

__all__ = ["reproduction"]

# The packages whose versions change the last digits of a run.
_PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "matplotlib")


def reproduction(study: Study) -> Chapter:
    """Tell how the run was made.

    Args:
        study: the run.

    Example:
        >>> reproduction(Study(RunFolder("run"))).numbers  # doctest: +SKIP
    """
    versions = {"pullback": __version__, "Python": platform.python_version()}
    versions |= {name: version(name) for name in _PACKAGES}
    settings = asdict(study.settings)
    config: dict[str, Any] = dict(study.vae.config or {})
    numbers = {
        "settings": settings,
        "model": config,
        "versions": versions,
        "machine": {"system": platform.platform(), "threads": torch.get_num_threads()},
    }
    command = study.settings.command_line("DIR")
    blocks: list[Block] = [
        f"The same run again: `{command}`. The same measurements on the models that are there: "
        "`pullback report DIR`. On another machine or another version of PyTorch the last digits "
        "differ.",
        Table(["setting", ""], _rows(settings), numeric=False),
        Table(["model", ""], _rows(config), numeric=False),
        Table(["version of", ""], _rows(versions), numeric=False),
        f"Measured on {numbers['machine']['system']}, with PyTorch on "
        f"{numbers['machine']['threads']} threads; `timings.json` says how long each step took.",
    ]
    return Chapter("reproduction", "How to reproduce it", numbers, blocks)


def _rows(values: dict[str, Any]) -> list[list[str]]:
    return [[name.replace("_", " "), _shown(value)] for name, value in values.items()]


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
