"""Image sets: what they are, where they are read from, and synthetic ones; import the module that is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from desali.data.readers import READERS, read_images

__all__ = ["READERS", "read_images"]


def __getattr__(name: str) -> Any:
    """Import the readers when they are first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from desali.data import readers

    return getattr(readers, name)
