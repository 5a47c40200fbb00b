"""Three synthetic domains, made from a seed: natural scenes, material textures, lung phantoms.

They let every command run without a download; commands keep the target in the cache, see `desali.data.drawn`. They
stand for the look of their domain and for nothing else: no result on them says anything about patients. `sheet.sheet`
draws a contact sheet of any of them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from desali.data.synthetic.classes import NATURAL_CLASSES, TARGET_CLASSES, TEXTURE_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from desali.data.synthetic.natural_images import natural
    from desali.data.synthetic.target_rois import target
    from desali.data.synthetic.texture_images import texture

    DOMAINS: dict[str, Callable[..., Any]]

__all__ = ["DOMAINS", "NATURAL_CLASSES", "TARGET_CLASSES", "TEXTURE_CLASSES", "natural", "target", "texture"]

_HOMES = {"natural": "natural_images", "texture": "texture_images", "target": "target_rois"}


def __getattr__(name: str) -> Any:
    """Import a domain when it is first asked for; `DOMAINS` maps the names of the domains to their functions."""
    if name == "DOMAINS":
        value: Any = {
            domain: getattr(importlib.import_module(f"{__name__}.{home}"), domain) for domain, home in _HOMES.items()
        }
    elif name in _HOMES:
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
