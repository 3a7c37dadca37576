"""What is served: nothing yet, with how far it is, and then a scene."""

from dataclasses import dataclass
from typing import Any

from pullback.explorer.scene import Scene

__all__ = ["Stage"]


@dataclass
class Stage:
    """A scene, or how far it is from being one.

    Attributes:
        scene: what is explored, None as long as it is not ready.
        what: what is being done until then.
        done: how much of that is done.
        total: how much there is; 0 where it is not known.

    Example:
        >>> stage = Stage()
        >>> stage.tell("table", 3, 10)
        >>> stage.waits()
        {'what': 'table', 'done': 3, 'total': 10}
    """

    scene: Scene | None = None
    what: str = "reading the run"
    done: int = 0
    total: int = 0

    def tell(self, what: str, done: int, total: int) -> None:
        """Hear how far work is, see `progress.heard`."""
        self.what, self.done, self.total = what, done, total

    def waits(self) -> dict[str, Any] | None:
        """Return what there is to wait for, as JSON holds it; None if the scene is there."""
        if self.scene is not None:
            return None
        return {"what": self.what, "done": self.done, "total": self.total}
